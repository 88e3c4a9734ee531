/** Where a request comes from, for deciding whose failures count for whom. */
export interface Source {
  /** The client's name; where no clients are configured, derived from the credential that it sends. */
  readonly client: string;
  /** A hash of the conversation where the request names one, else of its body: the same for the same request sent again. */
  readonly request: number;
}

/** What a failure can lie in, the narrowest first. */
export const BLAME_LEVELS = ['request', 'client'] as const;
export type BlameLevel = (typeof BLAME_LEVELS)[number];
