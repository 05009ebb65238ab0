// Bones in three.js at every frame: node three_bones.mjs FILE.glb EXPECTED.json; 1 where one is off by 0.01 mm.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const root = createRequire(`${process.cwd()}/`).resolve('three').replace(/build.*/, '');
const THREE = await import(pathToFileURL(`${root}build/three.module.js`));
const { GLTFLoader } = await import(pathToFileURL(`${root}examples/jsm/loaders/GLTFLoader.js`));

const [file, expected] = process.argv.slice(2);
const about = JSON.parse(fs.readFileSync(expected, 'utf-8'));
const bytes = fs.readFileSync(file);
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const gltf = await new Promise((done, failed) => new GLTFLoader().parse(buffer, '', done, failed));
const mixer = new THREE.AnimationMixer(gltf.scene);
gltf.animations.forEach((clip) => mixer.clipAction(clip).setLoop(THREE.LoopOnce).play());
mixer._actions.forEach((action) => { action.clampWhenFinished = true; });

let worst = 0;
const place = new THREE.Vector3();
for (const person of about.people) {
  let mesh;
  gltf.scene.traverse((node) => { if (node.isSkinnedMesh && node.name === `${person.name}_body`) mesh = node; });
  person.times.forEach((time, frame) => {
    mixer.setTime(time);
    gltf.scene.updateMatrixWorld(true);
    mesh.skeleton.bones.forEach((bone, joint) => {
      bone.getWorldPosition(place);
      worst = Math.max(worst, place.distanceTo(new THREE.Vector3(...person.joints[frame][joint])));
    });
  });
}
const [camera] = gltf.cameras;
const [up, down] = about.fps.split('/').map(Number);
const fps = up / (down || 1);
const view = about.camera;
const angle = 2 * Math.atan(view.height / 2 / view.focal_length) * 180 / Math.PI;
let off = 0;
const last = view.place.length - 1;
for (const frame of new Set([0, last >> 1, last])) {
  mixer.setTime(frame / fps);
  gltf.scene.updateMatrixWorld(true);
  const is = camera.matrixWorld.elements;
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 3; column++) {
      off = Math.max(off, Math.abs(is[4 * column + row] - view.rotation[frame][row][column]));
    }
    off = Math.max(off, Math.abs(is[12 + row] - view.place[frame][row]));
  }
}
console.log(`three.js ${THREE.REVISION}: bones within ${(1000 * worst).toFixed(5)} mm, camera within ${off.toExponential(1)}`);
const seen = Math.abs(camera.fov - angle) < 1e-4 && off < 1e-5;
process.exitCode = about.people.length && worst < 1e-5 && seen ? 0 : 1;
