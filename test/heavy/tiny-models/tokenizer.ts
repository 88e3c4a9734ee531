/** The tokenizer files of the tiny models: bytes and words, without merges. */
import { END, PAD, START, TOKENS } from './vocabulary.ts';

export const CHAT_TEMPLATE =
  "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

export function tokenizerFiles(options: { readonly className: string; readonly marksEnds: boolean; readonly lengthMax: number }) {
  const special = (id: number) => ({
    id,
    content: TOKENS[id]!,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const between = {
    type: 'RobertaProcessing',
    sep: [TOKENS[END], END],
    cls: [TOKENS[START], START],
    trim_offsets: true,
    add_prefix_space: false,
  };
  return {
    'tokenizer.json': {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [START, END, PAD].map(special),
      normalizer: null,
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      post_processor: options.marksEnds ? between : null,
      decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      model: { type: 'BPE', dropout: null, unk_token: null, vocab: Object.fromEntries(TOKENS.map((token, id) => [token, id])), merges: [] },
    },
    'tokenizer_config.json': {
      tokenizer_class: options.className,
      bos_token: TOKENS[START],
      eos_token: TOKENS[END],
      pad_token: TOKENS[PAD],
      model_max_length: options.lengthMax,
      clean_up_tokenization_spaces: false,
      ...(options.marksEnds ? {} : { chat_template: CHAT_TEMPLATE }),
    },
  };
}
