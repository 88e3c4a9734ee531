/** The part of @huggingface/transformers that is used. It is an optional package, so its own types may be missing. */

export interface Tokenizer {
  (texts: string | readonly string[], options?: object): { input_ids: { dims: readonly number[] } };
  readonly chat_template: unknown;
  readonly model_max_length?: number;
  apply_chat_template(messages: readonly object[], options: object): string;
}

export interface Pipeline {
  (input: string | readonly object[], options: object): Promise<unknown>;
  readonly tokenizer: Tokenizer;
  readonly model: {
    readonly config: { readonly max_position_embeddings?: number };
    readonly generation_config: { readonly eos_token_id?: number | readonly number[] | null } | null;
  };
  dispose(): Promise<void>;
}

export interface TransformersLibrary {
  readonly env: {
    allowRemoteModels: boolean;
    allowLocalModels: boolean;
    localModelPath: string;
    cacheDir: string;
  };
  readonly random: { seed(seed?: number): void };
  pipeline(task: string, model: string, options: object): Promise<Pipeline>;
  readonly TextStreamer: new (tokenizer: Tokenizer, options: object) => object;
  /** Abstract: `_call` returns for each text of a batch whether it is complete. */
  readonly StoppingCriteria: new () => { _call(ids: readonly unknown[]): boolean[] };
}
