/** Where a request comes from, as far as blame is concerned. */
export interface Source {
  /** The client by its name; where no clients are configured, told apart by the credential that it sends. */
  readonly client: string;
  /** A hash of the conversation where the request names one, else of its body: the same for the same request sent again. */
  readonly request: number;
}

/** What a failure can lie in, the narrowest first. */
export const BLAME_LEVELS = ['request', 'client'] as const;
export type BlameLevel = (typeof BLAME_LEVELS)[number];
