/** Creates the network server of a listener: TCP, TLS over TCP, or a unix socket. */
import type { Server, Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import { ConnectionShares } from './connection-shares.ts';
import type { ListenerOptions } from './listener-parts.ts';
import type { TlsFiles } from './tls-files.ts';
import { bindUnixSocket } from './unix-socket.ts';

/** The time for a TLS handshake, in milliseconds. */
const handshakeTimeoutMs = 10_000;
/** The most unfinished TLS handshakes; beyond it an address with many loses its oldest. */
const HANDSHAKES_MAX = 1024;

/** Options of `tls.createServer`. Clients that offer only HTTP/2 are refused in the handshake. */
export function tlsSettings({ cert, key }: TlsFiles) {
  return { cert, key, minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'], handshakeTimeout: handshakeTimeoutMs } as const;
}

/** Limits unfinished handshakes, which are not connections of the listener yet. Returns a function that closes them. */
export function limitHandshakes(server: Server, max: number = HANDSHAKES_MAX): () => void {
  const pending = new ConnectionShares<Socket>(max, () => true);
  // The socket of `secureConnection` is another one, with the same addresses.
  const byPeer = new Map<string, Socket>();
  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket);
    if (peer !== null) byPeer.set(peer, socket);
    socket.once('close', () => {
      pending.remove(socket);
      if (peer !== null && byPeer.get(peer) === socket) byPeer.delete(peer);
    });
    const displaced = pending.add(socket);
    if (displaced !== null) (displaced === 'refused' ? socket : displaced).destroy();
  });
  // Node.js does not destroy the socket of a handshake that timed out.
  server.on('tlsClientError', (_, socket: Socket) => socket.destroy());
  server.on('secureConnection', (secure: Socket) => {
    const peer = peerOf(secure);
    const socket = peer === null ? undefined : byPeer.get(peer);
    if (socket === undefined) return;
    byPeer.delete(peer!);
    pending.remove(socket);
  });
  return () => {
    for (const socket of pending.all) socket.destroy();
  };
}

/** Null: the connection was reset before it was accepted, or since. */
function peerOf({ remoteAddress, remotePort }: Socket): string | null {
  return remoteAddress === undefined ? null : `${remoteAddress} ${remotePort}`;
}

/** Replaces the certificate for new connections; open ones continue. */
export function setCertificate(server: Server, { cert, key }: TlsFiles): void {
  (server as TlsServer).setSecureContext({ cert, key, minVersion: 'TLSv1.2' });
}

/** Binds the address of the options; rejects with the error of Node.js. */
export async function startListening(server: Server, { host, port, socket, onError }: ListenerOptions): Promise<void> {
  if (socket !== undefined) await bindUnixSocket(server, socket);
  else
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
  server.on('error', onError);
}

/** The bound port; 0 for a unix socket. */
export function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
