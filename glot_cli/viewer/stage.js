// Both views of a frame: through the camera that filmed, over the video, and into the room, from wherever one likes.

const NEAR = 0.05, FAR = 500;
const LIGHTS = [[[-0.5, 0.8, 1.0], 0.8], [[1.0, 0.1, 0.7], 0.26], [[0.3, 1.0, -0.8], 0.3]]; // as in the overlay: to, strength
const SKY = 0.24, GROUND = 0.09;

class Stage {
  constructor(recording, state, changed) {
    Object.assign(this, { recording, state });
    this.renderer = new THREE.WebGLRenderer({ canvas: node("canvas"), antialias: true, alpha: true, stencil: true });
    this.renderer.setClearColor(0x000000, 0);
    this.renderer.autoClear = false;
    this.scene = new THREE.Scene();
    this.filming = new THREE.PerspectiveCamera();
    this.filming.matrixAutoUpdate = false;
    this.orbit = new THREE.PerspectiveCamera(38, 1, NEAR, FAR);
    this.controls = new THREE.OrbitControls(this.orbit, node("room"));
    this.controls.addEventListener("change", changed);
    this.controls.addEventListener("start", () => (this.moved = true));
    this.controls.maxDistance = 200;
    this.controls.minDistance = 0.3;
    this.figures = new Map(); // of the shot that is shown
    this.shot = -1;
    this.seats = new Map(); // shot -> where it was looked at from
    this.rects = { film: null, room: null, picture: null };
    this.body = this.makeBody();
    this.makeLights();
    this.makeFloor();
    this.makeFrustum();
    this.mark = new THREE.Mesh(new THREE.SphereGeometry(0.032, 20, 14), new THREE.MeshBasicMaterial({ color: 0xffffff, depthTest: false, transparent: true, opacity: 0.9 }));
    this.mark.visible = false;
    this.mark.renderOrder = 5;
    this.scene.add(this.mark);
  }

  makeBody() {
    const { vertices, wide } = this.recording;
    const faces = block("faces", wide ? Uint32Array : Uint16Array);
    const index = block("skin-index", Uint8Array), weight = block("skin-weight", Uint16Array);
    if (index.length !== 4 * vertices) throw new Error("the surface is damaged");
    return {
      faces: new THREE.BufferAttribute(faces, 1),
      skinIndex: new THREE.BufferAttribute(index, 4),
      skinWeight: new THREE.BufferAttribute(weight, 4, true),
    };
  }

  /** Lights turn with whoever looks. */
  makeLights() {
    this.rig = new THREE.Group();
    for (const [towards, strength] of LIGHTS) {
      const light = new THREE.DirectionalLight(0xffffff, Math.PI * strength);
      light.position.set(...towards);
      this.rig.add(light, light.target);
    }
    const ambient = new THREE.HemisphereLight(0xffffff, 0xffffff, Math.PI);
    ambient.color.setScalar(SKY);
    ambient.groundColor.setScalar(GROUND);
    this.rig.add(ambient);
    this.scene.add(this.rig);
  }

  /** Lines at whole metres, which fade with the distance from the middle. */
  makeFloor() {
    const material = new THREE.ShaderMaterial({
      transparent: true, depthWrite: false, side: THREE.DoubleSide,
      uniforms: { middle: { value: new THREE.Vector3() }, reach: { value: 8 }, strength: { value: 1 } },
      vertexShader: `varying vec3 place;
        void main() { place = (modelMatrix * vec4(position, 1.0)).xyz; gl_Position = projectionMatrix * viewMatrix * vec4(place, 1.0); }`,
      fragmentShader: `varying vec3 place; uniform vec3 middle; uniform float reach, strength;
        float lines(vec2 at, float wide) {
          vec2 width = fwidth(at), off = abs(fract(at - 0.5) - 0.5);
          vec2 line = 1.0 - smoothstep(width * (wide - 0.5), width * (wide + 0.5), off);
          return max(line.x, line.y) * clamp(1.0 / (6.0 * max(width.x, width.y)), 0.0, 1.0);
        }
        void main() {
          float far = length(place.xz - middle.xz) / reach, fade = 1.0 - smoothstep(0.35, 1.0, far);
          float ink = 0.07 + 0.34 * lines(place.xz, 0.9) + 0.09 * lines(place.xz * 4.0, 0.6);
          gl_FragColor = vec4(vec3(0.72, 0.77, 0.84), ink * fade * strength);
          #include <colorspace_fragment>
        }`,
    });
    this.floor = new THREE.Mesh(new THREE.PlaneGeometry(1, 1).rotateX(-Math.PI / 2), material);
    this.floor.frustumCulled = false;
    this.scene.add(this.floor);
  }

  makeFrustum() {
    const { width, height } = this.recording, geometry = new THREE.BufferGeometry();
    const x = width / 2, y = height / 2, corners = [[-x, y], [x, y], [x, -y], [-x, -y]];
    const points = corners.flatMap((corner, i) => [[0, 0, 0], [...corner, -1], [...corner, -1], [...corners[(i + 1) % 4], -1]]);
    points.push([-0.25 * x, 1.06 * y, -1], [0, 1.3 * y, -1], [0, 1.3 * y, -1], [0.25 * x, 1.06 * y, -1]); // which way is up
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(points.flat()), 3));
    this.frustum = new THREE.LineSegments(geometry, new THREE.LineBasicMaterial({ color: 0xffd479 }));
    this.frustum.matrixAutoUpdate = false;
    this.frustum.frustumCulled = false;
    this.scene.add(this.frustum);
  }

  /** The camera that filmed: the one place that knows how points of the room come into the picture. */
  aim(frame) {
    const { cameras, width, height } = this.recording, focal = this.recording.focalAt(frame), at = 7 * frame;
    const turn = new THREE.Quaternion().fromArray(cameras, at).normalize();
    const place = new THREE.Vector3().fromArray(cameras, at + 4), size = new THREE.Vector3(1, 1, 1);
    this.filming.matrix.compose(place, turn, size);
    this.filming.updateMatrixWorld(true);
    const depth = FAR - NEAR;
    this.filming.projectionMatrix.set(
      (2 * focal) / width, 0, 0, 0, 0, (2 * focal) / height, 0, 0,
      0, 0, -(FAR + NEAR) / depth, (-2 * FAR * NEAR) / depth, 0, 0, -1, 0,
    );
    this.filming.projectionMatrixInverse.copy(this.filming.projectionMatrix).invert();
    const reach = 0.45;
    this.frustum.matrix.compose(place, turn, size.set(reach / focal, reach / focal, reach));
    this.frustum.updateMatrixWorld(true);
  }

  /** Show a frame: the people of its shot in their poses. */
  show(frame) {
    const shot = this.recording.shotOf(frame);
    if (shot !== this.shot) this.enter(shot);
    this.aim(frame);
    this.frame = frame;
    for (const figure of this.figures.values()) figure.pose(frame);
    this.follow();
  }

  enter(shot) {
    if (this.shot >= 0 && this.moved) this.seats.set(this.shot, { from: this.orbit.position.clone(), to: this.controls.target.clone() });
    for (const figure of this.figures.values()) {
      this.scene.remove(figure.group);
      figure.dispose();
    }
    this.figures.clear();
    this.shot = shot;
    this.before = null;
    for (const one of this.recording.characters) {
      if (one.shot !== shot) continue;
      const figure = new Figure(this.recording, this.body, one);
      this.figures.set(one.index, figure);
      this.scene.add(figure.group);
    }
    const seat = this.seats.get(shot);
    this.measure();
    if (!seat) return this.reset();
    this.moved = true;
    this.orbit.position.copy(seat.from);
    this.controls.target.copy(seat.to);
    this.controls.update();
  }

  /** Where the people of the shot go: points around their ways, the middle and the radius of these, metres. */
  measure() {
    const at = new THREE.Vector3(), low = new THREE.Vector3(Infinity, Infinity, Infinity), high = low.clone().negate();
    this.points = [];
    for (const { one } of this.figures.values()) {
      const path = this.recording.path(one), step = 3 * Math.ceil(path.length / 600);
      for (let i = 0; i < path.length; i += step) {
        for (const [x, y] of [[-0.6, -0.9], [0.6, -0.9], [-0.6, 0.9], [0.6, 0.9]]) {
          this.points.push(at.fromArray(path, i).add({ x, y, z: 0 }).clone());
        }
      }
    }
    if (!this.points.length) this.points.push(new THREE.Vector3(-1.5, 0, -5), new THREE.Vector3(1.5, 1.8, -3));
    for (const point of this.points) {
      low.min(point);
      high.max(point);
    }
    this.middle = low.clone().add(high).multiplyScalar(0.5);
    const { uniforms } = this.floor.material, reach = Math.max(6, high.distanceTo(low) + 3);
    uniforms.middle.value.copy(this.middle);
    uniforms.reach.value = reach;
    this.floor.scale.setScalar(2 * reach);
    this.floor.position.set(this.middle.x, 0, this.middle.z);
  }

  /** Look at the people from above and from the right of the camera that filmed, from as near as shows all their ways. */
  reset() {
    this.moved = false;
    const first = this.recording.shots[this.shot].first, at = 7 * Math.min(first, this.recording.count - 1);
    const look = new THREE.Vector3(0, 0, -1).applyQuaternion(new THREE.Quaternion().fromArray(this.recording.cameras, at));
    look.setY(0);
    if (look.lengthSq() < 1e-6) look.set(0, 0, -1);
    look.normalize().applyAxisAngle(this.orbit.up, 0.6).setY(-0.36).normalize();
    const right = new THREE.Vector3().crossVectors(look, this.orbit.up).normalize(), up = new THREE.Vector3().crossVectors(right, look);
    const high = Math.tan((this.orbit.fov * Math.PI) / 360), wide = high * this.orbit.aspect, off = new THREE.Vector3();
    let far = 1;
    for (const point of this.points) {
      off.copy(point).sub(this.middle);
      far = Math.max(far, Math.abs(off.dot(right)) / wide - off.dot(look), Math.abs(off.dot(up)) / high - off.dot(look));
    }
    this.controls.target.copy(this.middle);
    this.orbit.position.copy(this.middle).addScaledVector(look, -1.2 * far);
    this.controls.update();
  }

  /** Keep the people where they are in the view of the room. */
  follow() {
    const now = new THREE.Vector3();
    let count = 0;
    for (const figure of this.figures.values()) {
      if (!figure.row || this.state.hidden.has(figure.one.person)) continue;
      now.add(figure.joint(0));
      count++;
    }
    if (!count) return;
    now.divideScalar(count).setY(0);
    const before = this.before;
    this.before = { at: now, count };
    if (!this.state.follow || !before || before.count !== count) return;
    const way = now.clone().sub(before.at);
    this.orbit.position.add(way);
    this.controls.target.add(way);
    this.controls.update();
  }

  place(rects, width, height) {
    this.rects = rects;
    this.size = { width, height };
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
    this.renderer.setSize(width, height, false);
    if (!rects.room) return;
    this.orbit.aspect = rects.room.width / rects.room.height;
    this.orbit.updateProjectionMatrix();
    if (!this.moved && this.shot >= 0) this.reset();
  }

  draw() {
    const { renderer, rects } = this;
    renderer.setScissorTest(false);
    renderer.clear();
    renderer.setScissorTest(true);
    if (rects.film) this.view(rects.picture, this.filming, false);
    if (rects.room) this.view(rects.room, this.orbit, true);
  }

  view(rect, camera, room) {
    const { state } = this, { world } = this.recording, bottom = this.size.height - rect.top - rect.height;
    this.renderer.setViewport(rect.left, bottom, rect.width, rect.height);
    this.renderer.setScissor(rect.left, bottom, rect.width, rect.height);
    this.renderer.clear(false, true, true);
    const floor = world && (room ? state.floor : state.grid), ground = world && (room || state.grid);
    this.floor.visible = floor;
    this.floor.material.uniforms.strength.value = room ? 1 : 1.5;
    this.frustum.visible = room && state.camera;
    const opacity = room ? 1 : state.opacity;
    for (const figure of this.figures.values()) figure.dress(this.frame, state, { floor, ground, opacity });
    camera.updateMatrixWorld();
    camera.getWorldQuaternion(this.rig.quaternion);
    this.renderer.render(this.scene, camera);
  }

  /** The joint nearest to a point of the stage, at most `within` pixels away. */
  pick(x, y, within = 18) {
    const inside = (rect) => rect && x >= rect.left && y >= rect.top && x < rect.left + rect.width && y < rect.top + rect.height;
    const room = inside(this.rects.room), rect = room ? this.rects.room : this.rects.picture;
    if (!room && !(this.rects.film && inside(rect))) return null;
    const camera = room ? this.orbit : this.filming, at = new THREE.Vector3();
    let best = null, least = within;
    for (const figure of this.figures.values()) {
      if (!figure.row || this.state.hidden.has(figure.one.person)) continue;
      for (let joint = 0; joint < 24; joint++) {
        figure.joint(joint, at).project(camera);
        if (at.z > 1) continue;
        const far = Math.hypot(rect.left + ((at.x + 1) / 2) * rect.width - x, rect.top + ((1 - at.y) / 2) * rect.height - y);
        if (far < least) [least, best] = [far, { figure, joint }];
      }
    }
    return best;
  }
}
