// Khronos' validator on glTF files: node validate_gltf.mjs FILE...; 1 where it finds an error or a warning.
import fs from 'node:fs';
import { createRequire } from 'node:module';

const { validateBytes } = createRequire(`${process.cwd()}/`)('gltf-validator');
for (const path of process.argv.slice(2)) {
  const { issues } = await validateBytes(new Uint8Array(fs.readFileSync(path)), { maxIssues: 20 });
  console.log(`${path}: ${issues.numErrors} errors, ${issues.numWarnings} warnings, ${issues.numInfos} remarks`);
  for (const { message, pointer } of issues.messages) console.log(`  ${pointer}: ${message}`);
  if (issues.numErrors || issues.numWarnings) process.exitCode = 1;
}
