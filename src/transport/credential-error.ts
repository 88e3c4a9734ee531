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
