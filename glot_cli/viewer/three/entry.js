// What the viewer takes of three.js, 0.187.0 (MIT, https://threejs.org). three.min.js is made of it, once:
//
//   npm install three@0.187.0 esbuild@0.28.2
//   npx esbuild entry.js --bundle --minify --format=iife --global-name=THREE --target=es2020 --legal-comments=none \
//       --charset=ascii --banner:js="$(printf '/*\n%s\n*/' "$(cat node_modules/three/LICENSE)")" --outfile=three.min.js
//
// SHA-256 of three.min.js: 569610da4cc366ee87c4861cd23ed3c5be468b0326e96461f937fa3ede85ef8a
export {
  AmbientLight, Bone, BufferAttribute, BufferGeometry, Color, CylinderGeometry, DirectionalLight, DoubleSide, Group,
  HemisphereLight, InstancedMesh, LineBasicMaterial, LineSegments, Matrix4, Mesh, MeshBasicMaterial,
  MeshLambertMaterial, NotEqualStencilFunc, PerspectiveCamera, PlaneGeometry, Quaternion, ReplaceStencilOp, Scene,
  ShaderMaterial, Skeleton, SkinnedMesh, SphereGeometry, Vector3, WebGLRenderer,
} from "three";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
