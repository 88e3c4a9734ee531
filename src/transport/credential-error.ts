/** There is nothing to sign requests with. */
export class CredentialError extends Error {
  /** The error code with which the issuer refused our account; null: the issuer was not available, and a later request may succeed. */
  readonly refusal: string | null;

  /** Where the operator has to look, which is not for callers; empty: nowhere in particular. */
  readonly place: string;

  constructor(message: string, refusal: string | null = null, place = '') {
    super(message);
    this.name = 'CredentialError';
    this.refusal = refusal;
    this.place = place;
  }
}
