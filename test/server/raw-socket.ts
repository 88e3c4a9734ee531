import { connect } from 'node:net';

/** Sends text as it is (latin1) and gives back all that comes until the other side closes. */
export function rawExchange(origin: string, text: string): Promise<string> {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(text, 'latin1'));
    let received = '';
    socket.setEncoding('latin1');
    socket.on('data', (piece: string) => (received += piece));
    socket.on('error', reject);
    socket.on('close', () => resolve(received));
  });
}
