/** The flags of `breakwater batch`. */

export interface AccessFlags {
  readonly config?: string;
  readonly url?: string;
  readonly key?: string;
  readonly demo?: boolean;
  readonly json?: boolean;
}

export interface RunFlags extends AccessFlags {
  readonly model?: string;
  readonly template?: string;
  readonly system?: string;
  readonly delimiter?: string;
  readonly maxTokens?: string;
  readonly output?: string;
  readonly window: string;
  readonly again?: boolean;
  readonly retryFailed?: boolean;
}

export interface ResultsFlags extends AccessFlags {
  readonly output?: string;
  readonly force?: boolean;
}
