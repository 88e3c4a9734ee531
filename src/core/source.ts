/** The origin of a request, to decide for which requests a failure counts. */
export interface Source {
  /** The client's name; without configured clients, derived from the credential of the request. */
  readonly client: string;
  /** A hash of the conversation if the request names one, else of its body: the same for a repeated request. */
  readonly request: number;
}

/** What can cause a failure, the narrowest first. */
export const BLAME_LEVELS = ['request', 'client'] as const;
export type BlameLevel = (typeof BLAME_LEVELS)[number];
