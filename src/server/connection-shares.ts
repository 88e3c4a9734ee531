/**
 * Open connections, with a share for each address (each /64 of IPv6): one may have as many as it leaves free. Beyond that a new one
 * takes the place of the oldest idle one of its address, or where all places are taken of any; where none is idle it is refused.
 */
import type { Socket } from 'node:net';

/** Open connections of one listener. */
export const CONNECTIONS_MAX = 16_384;

/** So many of the oldest are looked at for an idle one. */
const LOOKS_MAX = 128;

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

  /** Takes a new connection; gives the idle one that makes room for it, `refused` where there is none, null where none is needed. */
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
    let looks = 0;
    for (const socket of sockets ?? []) {
      if (this.#isIdle(socket)) return socket;
      if (++looks >= LOOKS_MAX) return null;
    }
    return null;
  }
}

/** The address, of IPv6 the part that one network has. */
function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
  if (!plain.includes(':')) return plain;
  const [start = '', rest] = plain.split('::');
  const groups = start.split(':');
  return rest !== undefined && groups.length < 4 ? `${start}::` : groups.slice(0, 4).join(':');
}
