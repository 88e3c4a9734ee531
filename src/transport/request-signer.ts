/** What authenticates requests where no fixed headers can: a signature of each, or a token that is renewed. */
import type { UpstreamRequest } from './transport.ts';

export interface CredentialSigner {
  /** Signs one request. */
  begin(): RequestSigner;
}

export interface RequestSigner {
  /** Headers to add to the request, names and values in turn; null: there is nothing to sign with yet. */
  sign(request: UpstreamRequest, epochMs: number): readonly string[] | null;
  /** Calls back once, later: null when there is something to sign with, or why there is not. Gives back what takes the listener away. */
  whenReady(listener: (error: Error | null) => void): () => void;
  /** The request was refused as it was signed. True: there is or will be something newer to sign with. */
  renew(): boolean;
}

/** There is nothing to sign requests with. */
export class CredentialError extends Error {
  /** The code of whoever gives credentials refused ours; null: it could not be asked, and may be asked again. */
  readonly refusal: string | null;

  constructor(message: string, refusal: string | null = null) {
    super(message);
    this.name = 'CredentialError';
    this.refusal = refusal;
  }
}
