// What the viewer takes of three.js, 0.187.0 (MIT, https://threejs.org). three.min.js is made of it, once:
//
//   npm install three@0.187.0 esbuild@0.28.2
//   npx esbuild entry.js --bundle --minify --format=iife --global-name=THREE --target=es2020 --legal-comments=none \
//       --charset=ascii --banner:js="$(printf '/*\n%s\n*/' "$(cat node_modules/three/LICENSE)")" --outfile=three.min.js
//
// SHA-256 of three.min.js: 3b75246fee7ac084f28e0559b27846aa1900996cd8fd2aca8d3b39327de6acf7
export {
  Bone, BufferAttribute, BufferGeometry, Color, CylinderGeometry, DirectionalLight, DoubleSide, Group,
  HemisphereLight, InstancedMesh, LineBasicMaterial, LineSegments, Matrix4, Mesh, MeshBasicMaterial,
  MeshLambertMaterial, NotEqualStencilFunc, PerspectiveCamera, PlaneGeometry, Quaternion, ReplaceStencilOp, Scene,
  ShaderMaterial, Skeleton, SkinnedMesh, SphereGeometry, Vector3, WebGLRenderer,
} from "three";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
