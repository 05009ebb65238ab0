// One person in one shot: surface, bones, shadow, trail and resting feet.

const SOURCE = { sphere: null, stick: null, dot: null }; // shapes that all people share
const TRAIL_SECONDS = 10, PAUSE_SECONDS = 1;

class Figure {
  constructor(recording, body, one) {
    Object.assign(this, { recording, one, body });
    this.colour = new THREE.Color().setRGB(...one.colour, "srgb");
    this.group = new THREE.Group();
    this.row = null;
    this.joints = new Float32Array(72); // where the joints are, metres
    this.bones = one.rest.map(() => new THREE.Bone());
    this.bones.forEach((bone, i) => {
      const parent = recording.parents[i];
      if (parent < 0) return;
      this.bones[parent].add(bone);
      bone.position.set(...one.rest[i].map((x, axis) => x - one.rest[parent][axis]));
    });
    const inverses = one.rest.map((place) => new THREE.Matrix4().makeTranslation(...place.map((x) => -x)));
    this.skeleton = new THREE.Skeleton(this.bones, inverses);
    this.group.add(this.bones[0]);
    this.makeSurface();
    this.makeBones();
    this.makeTrail();
  }

  makeSurface() {
    const { body, one } = this;
    const points = block(`shape-${one.shape}`, Int16Array), places = new Float32Array(points.length);
    for (let i = 0; i < points.length; i++) places[i] = (points[i] * one.shape_scale) / 32767;
    const geometry = new THREE.BufferGeometry();
    geometry.setIndex(body.faces);
    geometry.setAttribute("position", new THREE.BufferAttribute(places, 3));
    geometry.setAttribute("skinIndex", body.skinIndex);
    geometry.setAttribute("skinWeight", body.skinWeight);
    geometry.computeVertexNormals();
    const identity = new THREE.Matrix4();
    const skinned = (material) => {
      const mesh = new THREE.SkinnedMesh(geometry, material);
      mesh.frustumCulled = false;
      mesh.bind(this.skeleton, identity);
      this.group.add(mesh);
      return mesh;
    };
    this.mesh = skinned(new THREE.MeshLambertMaterial({ color: this.colour }));
    // Drawn before a surface that one sees through, so that of each body only what is in front is seen.
    this.front = skinned(new THREE.MeshBasicMaterial({ colorWrite: false }));
    // The same surface pressed flat on the floor; the stencil darkens every point of it once.
    const dark = new THREE.MeshBasicMaterial({
      color: 0x000000, transparent: true, opacity: 0.45, depthWrite: false, stencilWrite: true, stencilRef: 1,
      stencilFunc: THREE.NotEqualStencilFunc, stencilZPass: THREE.ReplaceStencilOp, side: THREE.DoubleSide,
    });
    this.shadow = skinned(dark);
    this.shadow.bindMode = "detached";
    this.shadow.matrixAutoUpdate = false;
    this.shadow.matrix.makeScale(1, 0, 1).setPosition(0, 0.003, 0);
    this.shadow.renderOrder = 1;
  }

  makeBones() {
    SOURCE.sphere ??= new THREE.SphereGeometry(1, 16, 12);
    SOURCE.stick ??= new THREE.CylinderGeometry(0.55, 1, 1, 10).translate(0, 0.5, 0); // along y, from 0 to 1
    SOURCE.dot ??= new THREE.CylinderGeometry(1, 1, 0.01, 20);
    const material = new THREE.MeshLambertMaterial({ color: this.colour });
    const instances = (shape, count) => {
      const mesh = new THREE.InstancedMesh(shape, material, count);
      mesh.frustumCulled = false;
      this.group.add(mesh);
      return mesh;
    };
    this.balls = instances(SOURCE.sphere, 24);
    this.sticks = instances(SOURCE.stick, 23);
    this.dots = instances(SOURCE.dot, 4);
  }

  /** A ribbon along the floor, 5 cm wide: two points a row. */
  makeTrail() {
    const { recording, one } = this, path = recording.path(one), times = recording.times, rows = one.rows;
    this.frames = new Int32Array(rows);
    for (const run of one.runs) for (let i = 0; i < run.count; i++) this.frames[run.row + i] = run.first + i;
    const places = new Float32Array(6 * rows), faces = [];
    for (let row = 0; row < rows; row++) {
      const a = Math.max(row - 2, 0), b = Math.min(row + 2, rows - 1);
      const x = path[3 * b] - path[3 * a], z = path[3 * b + 2] - path[3 * a + 2], length = Math.hypot(x, z) || 1;
      for (const side of [0, 1]) {
        const way = (0.025 * (2 * side - 1)) / length;
        places.set([path[3 * row] - z * way, 0.006, path[3 * row + 2] + x * way], 6 * row + 3 * side);
      }
      const near = row && times[this.frames[row]] - times[this.frames[row - 1]] <= PAUSE_SECONDS;
      const k = 2 * row; // where somebody was away the faces have no area, so that three indices stay one step
      faces.push(...(near ? [k - 2, k - 1, k, k, k - 1, k + 1] : [k, k, k, k, k, k]));
    }
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(places, 3));
    geometry.setIndex(faces);
    const material = new THREE.MeshBasicMaterial({
      color: this.colour, side: THREE.DoubleSide, transparent: true, opacity: 0.8, depthWrite: false,
    });
    this.trail = new THREE.Mesh(geometry, material);
    this.trail.frustumCulled = false;
    this.trail.renderOrder = 2;
    this.group.add(this.trail);
  }

  /** Take the pose of a frame. Returns whether the person is in it. */
  pose(frame) {
    this.row = this.recording.rowAt(this.one, frame);
    if (!this.row) return false;
    const { turns, root } = this.row;
    this.bones.forEach((bone, i) => {
      bone.quaternion.set(turns[4 * i], turns[4 * i + 1], turns[4 * i + 2], turns[4 * i + 3]).normalize();
    });
    this.bones[0].position.set(...root);
    this.bones[0].updateMatrixWorld(true);
    this.bones.forEach((bone, i) => this.joints.set(bone.matrixWorld.elements.slice(12, 15), 3 * i));
    return true;
  }

  /** Put bones, resting feet and trail where the pose has them.
   *  `floor` tells whether a floor is shown, `ground` whether what lies on it is, `opacity` how much bodies hide. */
  dress(frame, state, { floor, ground, opacity }) {
    const here = this.row !== null, mesh = state.form === "mesh";
    this.group.visible = !state.hidden.has(this.one.person);
    this.mesh.visible = here && mesh;
    this.front.visible = here && mesh && opacity < 1;
    this.shadow.visible = here && floor;
    this.balls.visible = this.sticks.visible = here && !mesh;
    this.dots.visible = here && ground && state.contacts && !!(this.row.flags & 15);
    this.trail.visible = ground && state.trails;
    for (const { material } of [this.mesh, this.balls]) { // sticks and dots share the balls' material
      if (material.transparent !== opacity < 1) material.needsUpdate = true;
      material.transparent = opacity < 1;
      material.opacity = opacity;
    }
    if (this.sticks.visible) this.placeBones();
    if (this.dots.visible) this.placeDots();
    if (this.trail.visible) {
      const times = this.recording.times, end = this.recording.rowsBefore(this.one, frame + 1);
      let begin = end;
      while (begin > 0 && times[frame] - times[this.frames[begin - 1]] <= TRAIL_SECONDS) begin--;
      this.trail.geometry.setDrawRange(6 * begin, 6 * (end - begin));
    }
  }

  joint(i, into = new THREE.Vector3()) {
    return into.fromArray(this.joints, 3 * i);
  }

  placeBones() {
    const matrix = new THREE.Matrix4(), turn = new THREE.Quaternion(), up = new THREE.Vector3(0, 1, 0);
    const a = new THREE.Vector3(), b = new THREE.Vector3(), size = new THREE.Vector3();
    for (let i = 0; i < 24; i++) {
      this.balls.setMatrixAt(i, matrix.compose(this.joint(i, b), turn.identity(), size.setScalar(0.024)));
      if (!i) continue;
      this.joint(this.recording.parents[i], a);
      const length = b.sub(a).length();
      turn.setFromUnitVectors(up, b.normalize());
      this.sticks.setMatrixAt(i - 1, matrix.compose(a, turn, size.set(0.016, length, 0.016)));
    }
    this.balls.instanceMatrix.needsUpdate = this.sticks.instanceMatrix.needsUpdate = true;
  }

  placeDots() {
    const matrix = new THREE.Matrix4(), place = new THREE.Vector3(), turn = new THREE.Quaternion();
    const size = new THREE.Vector3(0.05, 1, 0.05);
    let count = 0;
    [7, 10, 8, 11].forEach((joint, bit) => { // ankles and feet: the record tells of heels and toes
      if (!(this.row.flags & (1 << bit))) return;
      this.joint(joint, place).y = 0.008;
      this.dots.setMatrixAt(count++, matrix.compose(place, turn, size));
    });
    this.dots.count = count;
    this.dots.instanceMatrix.needsUpdate = true;
  }

  dispose() {
    this.mesh.geometry.dispose();
    this.trail.geometry.dispose();
    for (const mesh of [this.balls, this.sticks, this.dots]) mesh.dispose();
    for (const mesh of [this.mesh, this.front, this.shadow, this.balls, this.trail]) mesh.material.dispose();
    this.skeleton.dispose();
  }
}
