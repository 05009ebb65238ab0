// The page: what is pressed and shown, and `window.glot` for programs.

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];
const SWITCHES = { v: "video", f: "floor", g: "grid", t: "trails", c: "contacts", k: "camera", o: "follow" };
// The bones between which a joint is bent: from, to, from, to. Straight is 0 degrees; hips and shoulders are measured
// from the line down the trunk.
const BENDS = {
  1: [12, 0, 1, 4], 2: [12, 0, 2, 5], 3: [0, 3, 3, 6], 4: [1, 4, 4, 7], 5: [2, 5, 5, 8], 6: [3, 6, 6, 9], 7: [4, 7, 7, 10],
  8: [5, 8, 8, 11], 9: [6, 9, 9, 12], 12: [9, 12, 12, 15], 16: [12, 0, 16, 18], 17: [12, 0, 17, 19], 18: [16, 18, 18, 20],
  19: [17, 19, 19, 21], 20: [18, 20, 20, 22], 21: [19, 21, 21, 23],
};

function bendOf(figure, joint) {
  if (!BENDS[joint]) return null;
  const [a, b, c, d] = BENDS[joint].map((i) => figure.joint(i));
  return (b.sub(a).angleTo(d.sub(c)) * 180) / Math.PI;
}

function begin() {
  const recording = new Recording();
  const state = {
    layout: "both", form: "mesh", opacity: 1, video: recording.video_blocks > 0, floor: recording.world, grid: false,
    trails: recording.world, contacts: recording.world, camera: true, follow: false, hidden: new Set(),
  };
  let dirty = false, pointer = null;
  const redraw = () => {
    if (dirty) return;
    dirty = true;
    requestAnimationFrame(() => {
      dirty = false;
      stage.draw();
      point();
    });
  };
  const stage = new Stage(recording, state, redraw);
  const film = new Film(recording, node("video"), shown);
  const people = new Map();

  function shown(frame) {
    stage.show(frame);
    const { times, start, count, shots } = recording, width = node("timeline").clientWidth;
    node("scrub").value = frame;
    node("head").style.transform = `translateX(${placeOf(frame) * width}px)`;
    node("clock").textContent = `${times[frame].toFixed(2)} s   frame ${start + frame} of ${start + count - 1}`;
    const shot = shots[stage.shot];
    const parts = shots.length > 1 ? [`Shot ${stage.shot + 1} of ${shots.length}`] : [];
    if (shot.motion) parts.push(`camera ${{ static: "stands", rotating: "turns", travelling: "travels", given: "given" }[shot.motion]}`);
    node("shot").textContent = parts.join(" · ");
    node("scrub").setAttribute("aria-valuetext", `frame ${start + frame} of ${start} to ${start + count - 1}`);
    node("play-sign").setAttribute("d", film.playing ? "M6.500 5h4v14h-4zM13.500 5h4v14h-4z" : "M7 4.500v15L20 12z");
    node("play").setAttribute("aria-label", film.playing ? "Pause" : "Play");
    for (const { item, now } of people.values()) {
      item.classList.add("away");
      now.textContent = "";
    }
    for (const { row, one } of stage.figures.values()) {
      if (!row) continue;
      const { item, now } = people.get(one.person);
      item.classList.remove("away");
      now.textContent = row.flags & 16 ? "filled in" : `${Math.round(100 * row.score)} %`;
    }
    redraw();
  }

  /** Part of the timeline before a frame, 0 to 1, by its time. */
  function placeOf(frame) {
    const whole = recording.times[recording.count - 1];
    return whole > 0 ? recording.times[frame] / whole : 0;
  }

  function drawLanes() {
    const canvas = node("lanes"), ratio = window.devicePixelRatio || 1;
    const width = (canvas.width = Math.max(1, canvas.clientWidth * ratio));
    const height = (canvas.height = Math.max(1, canvas.clientHeight * ratio)), pen = canvas.getContext("2d");
    const ids = recording.people.map(({ person }) => person), lane = height / Math.max(ids.length, 1);
    for (const one of recording.characters) {
      pen.fillStyle = cssOf(one.colour);
      const top = ids.indexOf(one.person) * lane, thick = Math.max(1, Math.min(lane * 0.5, 9 * ratio));
      for (const run of one.runs) {
        const left = placeOf(run.first) * width, right = placeOf(Math.min(run.first + run.count, recording.count - 1)) * width;
        pen.fillRect(left, top + (lane - thick) / 2, Math.max(right - left, ratio), thick);
      }
    }
    pen.fillStyle = "#ffffff66";
    for (const { first } of recording.shots.slice(1)) pen.fillRect(placeOf(Math.min(first, recording.count - 1)) * width, 0, ratio, height);
  }

  /** Lay out the stage: the panes, and the picture, which keeps its shape, inside the left one. */
  function lay() {
    const { clientWidth: width, clientHeight: height } = node("stage"), shape = recording.width / recording.height;
    const rects = { film: null, room: null, picture: null }, beside = width > 1.15 * height;
    const part = beside ? Math.min(0.58 * width, Math.max(height * shape, 0.3 * width)) : Math.min(0.5 * height, width / shape);
    if (state.layout !== "room") {
      const all = state.layout === "film";
      const film = { left: 0, top: 0, width: all || !beside ? width : part, height: all || beside ? height : part };
      const inner = Math.min(film.width, film.height * shape), high = inner / shape;
      rects.film = film;
      rects.picture = { left: (film.width - inner) / 2, top: (film.height - high) / 2, width: inner, height: high };
    }
    if (state.layout !== "film") {
      const { width: x, height: y } = rects.film || { width: 0, height: 0 };
      const left = rects.film && beside ? x : 0, top = rects.film && !beside ? y : 0;
      rects.room = { left, top, width: width - left, height: height - top };
    }
    const put = (id, rect, there = true) => {
      node(id).hidden = !rect || !there;
      if (rect) for (const side of ["left", "top", "width", "height"]) node(id).style[side] = `${rect[side]}px`;
    };
    put("film", rects.film);
    put("room", rects.room);
    put("video", rects.picture, state.video && film.hasVideo);
    put("picture", rects.picture, !(state.video && film.hasVideo));
    document.body.dataset.layout = state.layout;
    document.body.classList.toggle("stacked", !beside);
    stage.place(rects, Math.max(width, 1), Math.max(height, 1));
    drawLanes();
    shown(film.frame);
  }

  function set(name, value) {
    state[name] = value;
    for (const button of node(name)?.querySelectorAll?.("button") ?? []) {
      button.setAttribute("aria-pressed", String(button.dataset.value === value));
    }
    const box = node(`show-${name}`);
    if (box) box.checked = value;
    if (name === "opacity") node(name).value = 100 * value;
    if (name === "layout" || name === "video") lay();
    redraw();
  }

  function point() {
    const found = pointer && stage.pick(pointer.x, pointer.y), tip = node("tip");
    if (stage.mark.visible !== !!found) redraw();
    stage.mark.visible = !!found;
    tip.hidden = !found;
    if (!found) return;
    const { figure, joint } = found, at = figure.joint(joint);
    if (!stage.mark.position.equals(at)) redraw();
    stage.mark.position.copy(at);
    const bend = bendOf(figure, joint), error = figure.row.error;
    const number = (x) => (Math.abs(x) < 0.005 ? "0.00" : x.toFixed(2)).replace("-", "−");
    const title = document.createElement("b"), chip = document.createElement("i");
    chip.style.background = cssOf(figure.one.colour);
    title.append(chip, `Person ${figure.one.person}, ${recording.joints[joint].replaceAll("_", " ")}`);
    const lines = [`x ${number(at.x)}   y ${number(at.y)}   z ${number(at.z)} m`];
    if (bend !== null) lines.push(`bent ${Math.round(bend)}°`);
    if (error) lines.push(`within ${(error[joint] / 100).toFixed(1)} cm (80 %)`);
    tip.replaceChildren(title, lines.join("\n"));
    const { clientWidth: width, clientHeight: height } = node("stage");
    tip.style.left = `${Math.max(4, Math.min(pointer.x + 16, width - tip.offsetWidth - 6))}px`;
    tip.style.top = `${Math.max(4, Math.min(pointer.y + 16, height - tip.offsetHeight - 6))}px`;
  }

  const cssOf = (colour) => `rgb(${colour.map((x) => Math.round(255 * x)).join(" ")})`;
  const step = (by) => {
    if (film.playing) film.stop();
    film.seek(film.frame + by);
  };
  const toggle = () => (film.playing ? film.stop() : film.start());
  const speed = (value) => {
    node("speed").value = value;
    film.setSpeed(value);
  };
  const loop = () => {
    film.loop = !film.loop;
    node("loop").setAttribute("aria-pressed", String(film.loop));
  };
  const panel = () => {
    const bare = document.body.classList.toggle("bare");
    node("toggle-panel").setAttribute("aria-pressed", String(!bare));
    lay();
  };
  const allowed = (name) => !node(`show-${name}`).disabled;

  function fill() {
    const { width, height, count, times, fps, people: all } = recording;
    node("name").textContent = recording.name;
    node("about").textContent = `${width} × ${height}, ${count} frames, ${(times[count - 1] + recording.step).toFixed(2)} s`;
    node("room-note").textContent = recording.world ? "" : "no floor in this record: seen from the camera";
    node("scrub").max = count - 1;
    for (const value of SPEEDS) node("speed").append(new Option(`${value}×`, value));
    for (const { person, colour } of all) {
      const item = document.createElement("li"), label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      const chip = Object.assign(document.createElement("span"), { className: "chip" });
      const who = Object.assign(document.createElement("span"), { className: "who", textContent: `Person ${person}` });
      const now = Object.assign(document.createElement("span"), { className: "now", title: "confidence of the detection" });
      chip.style.background = cssOf(colour);
      box.addEventListener("change", () => {
        state.hidden[box.checked ? "delete" : "add"](person);
        redraw();
      });
      label.append(box, chip, who, now);
      item.append(label);
      node("people").append(item);
      people.set(person, { item, now });
    }
    if (!all.length) node("people").append(Object.assign(document.createElement("li"), { textContent: "nobody was found" }));
    if (!recording.world) for (const name of ["floor", "grid", "trails", "contacts"]) node(`show-${name}`).disabled = true;
    if (!state.video) node("show-video").disabled = true;
  }

  function listen() {
    for (const name of ["layout", "form"]) {
      node(name).addEventListener("click", ({ target }) => target.dataset.value && set(name, target.dataset.value));
      set(name, state[name]);
    }
    for (const name of Object.values(SWITCHES)) {
      node(`show-${name}`).addEventListener("change", ({ target }) => set(name, target.checked));
      set(name, state[name]);
    }
    const on = (id, event, does) => node(id).addEventListener(event, does);
    on("opacity", "input", ({ target }) => set("opacity", target.value / 100));
    on("scrub", "input", ({ target }) => scrub(Number(target.value)));
    on("play", "click", toggle);
    on("back", "click", () => step(-1));
    on("next", "click", () => step(1));
    on("loop", "click", loop);
    on("speed", "change", ({ target }) => speed(Number(target.value)));
    on("reset", "click", () => stage.reset());
    on("open-help", "click", () => node("help").showModal());
    on("toggle-panel", "click", panel);
    on("stage", "pointermove", (event) => {
      const box = node("stage").getBoundingClientRect();
      pointer = event.buttons ? null : { x: event.clientX - box.left, y: event.clientY - box.top };
      point();
    });
    on("stage", "pointerleave", () => {
      pointer = null;
      point();
    });
    document.addEventListener("keydown", press);
    new ResizeObserver(lay).observe(node("stage"));
    window.addEventListener("resize", lay);
  }

  /** The slider counts frames, the timeline shows time: go by where it was touched. */
  function scrub(value) {
    const whole = recording.times[recording.count - 1];
    const even = recording.count > 1 ? (value / (recording.count - 1)) * whole : 0;
    const frame = film.frameAt(even + recording.step / 2);
    if (film.playing) film.stop();
    film.seek(Math.abs(value - film.frame) === 1 ? value : frame);
  }

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || node("help").open) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, far = event.shiftKey ? 10 : 1;
    const inField = event.target.matches("select, #opacity");
    if (inField && key !== "Escape") return;
    const moves = { ArrowLeft: () => step(-far), ArrowRight: () => step(far), Home: () => step(-Infinity), End: () => step(Infinity) };
    const keys = {
      ...moves, " ": toggle, l: loop, p: panel, r: () => stage.reset(), "?": () => node("help").showModal(),
      1: () => set("layout", "both"), 2: () => set("layout", "film"), 3: () => set("layout", "room"),
      m: () => set("form", state.form === "mesh" ? "skeleton" : "mesh"),
      "[": () => speed(SPEEDS[Math.max(SPEEDS.indexOf(film.speed) - 1, 0)]),
      "]": () => speed(SPEEDS[Math.min(SPEEDS.indexOf(film.speed) + 1, SPEEDS.length - 1)]),
    };
    if (key === " " && event.target.matches("button, input[type=checkbox]")) return; // it presses them
    const does = keys[key] ?? (SWITCHES[key] && allowed(SWITCHES[key]) ? () => set(SWITCHES[key], !state[SWITCHES[key]]) : null);
    if (!does) return;
    event.preventDefault();
    does();
  }

  /** What programs may ask; see docs/viewer.md. */
  function open() {
    const at = (frame, what) => {
      const now = film.frame;
      stage.show(frame);
      const found = what();
      stage.show(now);
      return found;
    };
    const there = () => [...stage.figures.values()].filter((figure) => figure.row);
    return {
      recording,
      get state() {
        return { ...state, hidden: [...state.hidden], frame: film.frame, playing: film.playing, speed: film.speed, shot: stage.shot };
      },
      set,
      seek: (frame) => film.seek(frame),
      play: () => film.start(),
      pause: () => film.stop(),
      pictureRect: () => stage.rects.picture,
      jointPositions: (frame) => at(frame, () => there().map(({ one, joints }) => ({ person: one.person, joints: [...joints] }))),
      jointPixels: (frame) => at(frame, () => there().map((figure) => ({
        person: figure.one.person,
        pixels: recording.parents.flatMap((_, i) => {
          const { x, y } = figure.joint(i).project(stage.filming);
          return [((x + 1) / 2) * recording.width, ((1 - y) / 2) * recording.height];
        }),
      }))),
    };
  }

  fill();
  speed(1);
  if (window.innerWidth <= 760) panel();
  listen();
  lay();
  node("message").hidden = true;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const api = open();
  api.ready = (recording.video_blocks ? recording.video().then((blob) => film.load(blob)) : Promise.resolve(false)).then((plays) => {
    if (recording.video_blocks && !plays) node("room-note").textContent = "this browser cannot play the video";
    set("video", plays);
    node("show-video").disabled = !plays;
    if (!calm && recording.count > 1) film.start();
    return true;
  });
  window.glot = api;
}

try {
  begin();
} catch (error) {
  node("message").textContent = `This page cannot be shown: ${error.message}. It needs WebGL 2.`;
  throw error;
}
