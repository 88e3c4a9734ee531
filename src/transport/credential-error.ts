/** No credentials are available to sign requests with. */
export class CredentialError extends Error {
  /** The error code with which the issuer refused our account; null: the issuer was not available, and a later request may succeed. */
  readonly refusal: string | null;

  /** The file or setting to check, for operators only; empty: none. */
  readonly place: string;

  constructor(message: string, refusal: string | null = null, place = '') {
    super(message);
    this.name = 'CredentialError';
    this.refusal = refusal;
    this.place = place;
  }
}
