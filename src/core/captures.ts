/** Bodies of running requests, held for the log and the request log where the config asks for them. */

export interface CapturedBody {
  /** At most 64 KiB; null: not text. */
  readonly text: string | null;
  /** The text is the beginning of a longer body. */
  readonly isCut: boolean;
}

export interface CapturedBodies {
  readonly request: CapturedBody;
  /** What a stream adds up to, in the caller's dialect, if it can be folded. */
  readonly response: CapturedBody;
}

export interface Captures {
  /** The conversation of a request that was just received; null: prompts are not logged, or it has none. */
  prompt(requestId: string): string | null;
  /** The bodies of a finished request, once; null: they are not recorded. */
  bodies(requestId: string): CapturedBodies | null;
}
