// Puts a .gz beside each built text file, once, so that the daemon compresses nothing at run time.
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url).pathname;
for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !/\.(js|css|html|svg|json|txt)$/.test(entry.name)) continue;
  const path = join(entry.parentPath, entry.name);
  const packed = gzipSync(await readFile(path), { level: constants.Z_BEST_COMPRESSION });
  // The time field of a gzip header is 0 here, so the same page packs to the same bytes.
  await writeFile(`${path}.gz`, packed);
}
