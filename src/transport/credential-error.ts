/** There is nothing to sign requests with. */
export class CredentialError extends Error {
  /** The code of whoever gives credentials refused ours; null: it could not be asked, and may be asked again. */
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
