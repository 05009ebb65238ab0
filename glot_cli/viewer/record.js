// The record as it stands in this file: blocks of base64, decoded when they are asked for. See packing.py.

const node = (id) => document.getElementById(id);

function decoded(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

function block(id, Kind) {
  const bytes = decoded(node(id).textContent);
  return new Kind(bytes.buffer, bytes.byteOffset, bytes.byteLength / Kind.BYTES_PER_ELEMENT);
}

class Recording {
  constructor() {
    Object.assign(this, JSON.parse(node("record").textContent));
    this.times = block("times", Float64Array); // seconds of each frame, the first at 0
    this.cameras = block("cameras", Float32Array); // x, y, z, w and place of each frame's camera in the world
    this.focals = this.has_focals ? block("focals", Float32Array) : null; // where it changes
    this.paths = new Map();
    this.chunks = new Map(); // the ones used last
    for (const one of this.characters) {
      let row = 0;
      one.runs = one.runs.map(([first, count]) => ({ first, count, row: (row += count) - count }));
      one.rows = row;
    }
  }

  /** Index of the shot that a frame is in. */
  shotOf(frame) {
    let shot = 0;
    while (shot + 1 < this.shots.length && this.shots[shot + 1].first <= frame) shot++;
    return shot;
  }

  /** Focal length in pixels of the video's own picture. Its principal point is the centre. */
  focalAt(frame) {
    return this.focals ? this.focals[frame] : this.focal;
  }

  /** How many rows of a character come before a frame. */
  rowsBefore(one, frame) {
    let low = 0, high = one.runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (one.runs[middle].first < frame) low = middle + 1;
      else high = middle;
    }
    if (!low) return 0;
    const run = one.runs[low - 1];
    return run.row + Math.min(frame - run.first, run.count);
  }

  /** The row of a character in a frame, -1 where there is none. */
  rowOf(one, frame) {
    const row = this.rowsBefore(one, frame);
    return this.rowsBefore(one, frame + 1) > row ? row : -1;
  }

  /** Places of joint 0 in all rows of a character, metres. */
  path(one) {
    if (!this.paths.has(one)) this.paths.set(one, block(`path-${one.index}`, Float32Array));
    return this.paths.get(one);
  }

  /** Row of a character in the frame: rotations of its joints, feet and what is known of errors; null if not there. */
  rowAt(one, frame) {
    const row = this.rowOf(one, frame);
    if (row < 0) return null;
    const part = this.chunk(Math.floor(frame / this.chunk_frames)).get(one.index);
    const at = row - part.row, path = this.path(one);
    return {
      row,
      root: path.subarray(3 * row, 3 * row + 3),
      turns: part.turns.subarray(96 * at, 96 * at + 96), // x, y, z, w of 24 joints, times 32767
      flags: part.flags[at], // 1, 2, 4, 8: left heel, left toes, right heel, right toes rest; 16: filled in
      error: part.error && part.error.subarray(24 * at, 24 * at + 24), // 0.1 mm
      score: part.score[at] / 255, // of the detection
    };
  }

  chunk(index) {
    let parts = this.chunks.get(index);
    if (parts) this.chunks.delete(index);
    else {
      parts = new Map();
      const bytes = decoded(node(`motion-${index}`).textContent), first = index * this.chunk_frames;
      let at = 0;
      const take = (Kind, count) => {
        const size = count * Kind.BYTES_PER_ELEMENT, from = bytes.byteOffset + at;
        at += size;
        return new Kind(bytes.buffer.slice(from, from + size));
      };
      for (const one of this.characters) {
        const row = this.rowsBefore(one, first), count = this.rowsBefore(one, first + this.chunk_frames) - row;
        if (!count) continue;
        const turns = take(Int16Array, 96 * count);
        const error = this.has_error ? take(Uint16Array, 24 * count) : null;
        const flags = take(Uint8Array, count);
        const score = take(Uint8Array, count);
        parts.set(one.index, { row, turns, error, flags, score });
      }
    }
    this.chunks.set(index, parts); // a Map keeps the order
    if (this.chunks.size > 6) this.chunks.delete(this.chunks.keys().next().value);
    return parts;
  }

  /** The video as one Blob, put together a piece at a time; what is decoded leaves the page. */
  async video() {
    const pieces = [];
    for (let i = 0; i < this.video_blocks; i++) {
      const text = node(`video-${i}`);
      pieces.push(new Blob([decoded(text.textContent)]));
      text.remove();
      await new Promise((done) => setTimeout(done));
    }
    return new Blob(pieces, { type: "video/mp4" });
  }
}
