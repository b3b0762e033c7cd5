// The least RFB 3.8 server that noVNC takes: a still pattern, sent whole each second.
const width = 1280;
const height = 720;

export function rfb(ws) {
  let step = 0;
  let timer;
  ws.send(Buffer.from('RFB 003.008\n'));
  ws.on('message', (data) => {
    if (step === 0) ws.send(Buffer.from([1, 1])); // one security type: none
    if (step === 1) ws.send(Buffer.alloc(4)); // it went well
    if (step === 2) ws.send(init());
    if (step === 3) {
      ws.send(picture());
      timer = setInterval(() => ws.send(picture()), 1000);
    }
    if (data.length > 0) step++;
  });
  ws.on('close', () => clearInterval(timer));
}

function init() {
  const b = Buffer.alloc(24 + 4);
  b.writeUInt16BE(width, 0);
  b.writeUInt16BE(height, 2);
  b.set([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16], 4);
  b.writeUInt32BE(4, 20);
  b.write('mock', 24);
  return b;
}

function picture() {
  const head = Buffer.alloc(16);
  head.writeUInt16BE(1, 2);
  head.writeUInt16BE(width, 8);
  head.writeUInt16BE(height, 10);
  const body = Buffer.alloc(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const light = ((x >> 5) + (y >> 5)) % 2 ? 232 : 244;
      body.writeUInt32LE((light << 16) | (light << 8) | light, (y * width + x) * 4);
    }
  }
  return Buffer.concat([head, body]);
}
