/** The part of node-llama-cpp that is used. It is an optional package, so its own types may be missing. */

export type HistoryItem =
  | { readonly type: 'system' | 'user'; readonly text: string }
  | { readonly type: 'model'; readonly response: readonly string[] };

export interface GenerateOptions {
  readonly onTextChunk: (text: string) => void;
  readonly onToken: () => void;
  readonly signal: AbortSignal;
  readonly stopOnAbortSignal: true;
  readonly maxTokens: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly seed?: number;
}

interface Response {
  readonly metadata: { readonly stopReason: string };
}

export interface LlamaChat {
  readonly chatWrapper: {
    generateContextState(options: { chatHistory: readonly HistoryItem[] }): {
      readonly contextText: { tokenize(tokenizer: unknown): readonly unknown[] };
    };
  };
  generateResponse(history: HistoryItem[], options: GenerateOptions): Promise<Response>;
}

export interface LlamaCompletion {
  generateCompletionWithMeta(input: string, options: GenerateOptions): Promise<Response>;
}

export interface TokenCount {
  readonly usedInputTokens: number;
  readonly usedOutputTokens: number;
}

export interface Sequence {
  readonly tokenMeter: { getState(): TokenCount; diff(before: TokenCount): TokenCount };
}

export interface LlamaContext {
  readonly contextSize: number;
  getSequence(): Sequence;
  dispose(): Promise<void>;
}

export interface LlamaModel {
  readonly tokenizer: unknown;
  readonly trainContextSize: number;
  tokenize(text: string): readonly unknown[];
  createContext(options: object): Promise<LlamaContext>;
  dispose(): Promise<void>;
}

export interface Llama {
  loadModel(options: { modelPath: string }): Promise<LlamaModel>;
  dispose(): Promise<void>;
}

export interface LlamaLibrary {
  getLlama(options: object): Promise<Llama>;
  resolveModelFile(uri: string, options: object): Promise<string>;
  readonly LlamaChat: new (options: { contextSequence: Sequence }) => LlamaChat;
  readonly LlamaCompletion: new (options: { contextSequence: Sequence }) => LlamaCompletion;
}
