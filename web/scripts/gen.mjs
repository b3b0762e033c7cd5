// Writes src/api/schema.d.ts from api/openapi.yaml; with --check it only says whether the file is as it would be.
import { readFile, writeFile } from 'node:fs/promises';
import openapiTS, { astToString } from 'openapi-typescript';
import prettier from 'prettier';

const source = new URL('../../api/openapi.yaml', import.meta.url);
const target = new URL('../src/api/schema.d.ts', import.meta.url);

const ast = await openapiTS(source);
const options = (await prettier.resolveConfig(target)) ?? {};
const head = '// Generated from api/openapi.yaml by `npm run gen`; do not edit.\n\n';
const text = await prettier.format(head + astToString(ast), { ...options, parser: 'typescript' });

if (process.argv.includes('--check')) {
  const found = await readFile(target, 'utf8').catch(() => '');
  if (found !== text) {
    console.error(
      'web/src/api/schema.d.ts is not what api/openapi.yaml says: run `npm run gen` in web/ and commit it',
    );
    process.exit(1);
  }
} else {
  await writeFile(target, text);
}
