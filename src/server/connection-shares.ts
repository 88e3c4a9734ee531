/**
 * Limits open connections, with a share for each address (each /64 of IPv6): an address may have as many as remain free. Beyond that a new
 * connection replaces the oldest idle one of its address, or at the total limit of any address; if none is idle it is refused.
 */
import type { Socket } from 'node:net';

/** The most open connections of one listener. */
export const CONNECTIONS_MAX = 16_384;

/** The most connections that are searched for an idle one, oldest first. */
const SEARCHED_MAX = 128;

export class ConnectionShares<S extends Pick<Socket, 'remoteAddress'>> {
  readonly #max: number;
  readonly #isIdle: (socket: S) => boolean;
  readonly #all = new Set<S>();
  readonly #byAddress = new Map<string, Set<S>>();
  readonly #addresses = new WeakMap<S, string>();

  constructor(max: number, isIdle: (socket: S) => boolean) {
    this.#max = max;
    this.#isIdle = isIdle;
  }

  get all(): ReadonlySet<S> {
    return this.#all;
  }

  /** Adds a connection; returns the idle one to close for it, `refused` if there is none, null if none has to be closed. */
  add(socket: S): S | 'refused' | null {
    const address = networkOf(socket.remoteAddress ?? '');
    const own = this.#byAddress.get(address);
    const isOver = (own?.size ?? 0) >= this.#max - this.#all.size;
    const idle = isOver ? (this.#idleOf(own) ?? (this.#all.size >= this.#max ? this.#idleOf(this.#all) : null)) : null;
    if (isOver && idle === null) return 'refused';
    if (idle !== null) this.remove(idle);
    this.#all.add(socket);
    this.#addresses.set(socket, address);
    const sockets = this.#byAddress.get(address);
    if (sockets === undefined) this.#byAddress.set(address, new Set([socket]));
    else sockets.add(socket);
    return idle;
  }

  remove(socket: S): void {
    if (!this.#all.delete(socket)) return;
    const address = this.#addresses.get(socket)!;
    const own = this.#byAddress.get(address)!;
    own.delete(socket);
    if (own.size === 0) this.#byAddress.delete(address);
  }

  #idleOf(sockets: ReadonlySet<S> | undefined): S | null {
    let searched = 0;
    for (const socket of sockets ?? []) {
      if (this.#isIdle(socket)) return socket;
      if (++searched >= SEARCHED_MAX) return null;
    }
    return null;
  }
}

/** An IPv4 address, or the /64 prefix of an IPv6 address. */
function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
  if (!plain.includes(':')) return plain;
  const [start = '', rest] = plain.split('::');
  const groups = start.split(':');
  return rest !== undefined && groups.length < 4 ? `${start}::` : groups.slice(0, 4).join(':');
}
