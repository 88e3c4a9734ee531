import type { BlameLevel, Source } from './source.ts';

/** On whose word something rests: that of one request, of one client, or of several. Another one may put it to the test. */
export class Testimony {
  /** Null: several. */
  client: string | null;
  request: number | null;

  constructor(client: string | null, request: number | null) {
    this.client = client;
    this.request = request;
  }

  /** One more says so. */
  add(source: Source | undefined): void {
    if (source?.client !== this.client) this.client = null;
    if (source?.request !== this.request) this.request = null;
  }

  /** Whether the source is another client, or else another request, than the only one that says so; null: neither. */
  contradictedBy(source: Source | undefined): BlameLevel | null {
    if (source === undefined) return null;
    if (this.client !== null && source.client !== this.client) return 'client';
    return this.request !== null && source.request !== this.request ? 'request' : null;
  }

  /** Nobody could contradict it. */
  get isSettled(): boolean {
    return this.client === null && this.request === null;
  }
}
