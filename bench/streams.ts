/** A client on bare sockets for what wrk cannot measure: the delay of single events, and open streams. */
import { connect, type Socket } from 'node:net';
import { chatBody, clientKey, prompts } from './bodies.ts';

function open(url: string, body: string): Socket {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.setNoDelay(true);
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${clientKey}\r\n` +
      `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
  return socket;
}

/** Transit time of each event of one paced stream, in milliseconds. Both ends use the same clock. */
export function eventDelaysMs(url: string): Promise<number[]> {
  const delays: number[] = [];
  const socket = open(url, chatBody(256, true, prompts.paced));
  return new Promise((resolve, reject) => {
    let text = '';
    socket.on('data', (bytes) => {
      const nowNs = process.hrtime.bigint();
      text += bytes.toString('latin1');
      for (const [, sentNs = '0'] of text.matchAll(/@(\d+)@/g)) delays.push(Number(nowNs - BigInt(sentNs)) / 1e6);
      text = text.slice(text.lastIndexOf('\n') + 1);
      if (bytes.includes('0\r\n\r\n')) socket.destroy();
    });
    socket.on('error', reject);
    socket.on('close', () => (delays.length > 0 ? resolve(delays) : reject(new Error(`${url}: a paced stream had no events`))));
  });
}

/** Opens `count` streams and resolves when each has received its first event. */
export async function holdStreams(url: string, count: number): Promise<{ close(): void }> {
  const body = chatBody(1024, true, prompts.hold);
  const sockets: Socket[] = [];
  const openOne = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = open(url, body);
      sockets.push(socket);
      let text = '';
      socket.on('data', (bytes) => {
        text += bytes.toString('latin1');
        if (text.includes('"still"')) resolve();
      });
      socket.on('error', reject);
      socket.on('close', () => reject(new Error(`${url}: a stream ended that should stay open: ${text.slice(0, 300)}`)));
    });
  // A few at a time: a burst of thousands would measure the listen queue.
  const atOnce = 50;
  for (let opened = 0; opened < count; opened += atOnce) {
    await Promise.all(Array.from({ length: Math.min(atOnce, count - opened) }, openOne));
  }
  return { close: () => sockets.forEach((socket) => socket.removeAllListeners('close').destroy()) };
}
