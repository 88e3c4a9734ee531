import type { BlameLevel, Source } from './source.ts';

/** The sources of evidence: one request, one client, or several. A single source can be contradicted by another one. */
export class EvidenceSources {
  /** Null: several. */
  client: string | null;
  request: number | null;

  constructor(client: string | null, request: number | null) {
    this.client = client;
    this.request = request;
  }

  /** Adds evidence from one more source. */
  add(source: Source | undefined): void {
    if (source?.client !== this.client) this.client = null;
    if (source?.request !== this.request) this.request = null;
  }

  /** The level at which the given source differs from the only source of evidence, clients first; null: neither. */
  contradictedBy(source: Source | undefined): BlameLevel | null {
    if (source === undefined) return null;
    if (this.client !== null && source.client !== this.client) return 'client';
    return this.request !== null && source.request !== this.request ? 'request' : null;
  }

  /** Evidence from several clients and requests: no single source can contradict it. */
  get isSettled(): boolean {
    return this.client === null && this.request === null;
  }
}
