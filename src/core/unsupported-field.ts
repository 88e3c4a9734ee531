/**
 * Finds the field of a request that an error message calls unsupported. Each pattern matches from the beginning of the message, since later
 * text may be the caller's.
 */
const NAME = String.raw`["'\x60]?([A-Za-z_]\w{0,63})`;
/** A quoted name: an unquoted word may be any noun. */
const QUOTED = String.raw`["'\x60]([A-Za-z_]\w{0,63})["'\x60]`;
const KIND = '(?:(?:request|input|query) )?(?:parameter|property|field|argument|setting|option|key)';
/** Nouns that are no fields. */
const NO_FIELD = String.raw`(?!(?:request|access|operation|method|action)\b)`;
/** Phrases for an unsupported field. "Not allowed to be empty" is about a value. */
const REFUSED = [
  String.raw`(?:(?:is|are) )?(?:not (?:currently |yet )?(?:supported|permitted|recognized|allowed(?! to\b))|unsupported|unrecognized|deprecated for|extra inputs are not permitted)`,
  '(?:is|are) no longer (?:supported|available|accepted)',
  '(?:is|are) not (?:a |an )?(?:valid|known|supported|recognized|allowed) (?:request |input |query )?(?:parameter|property|field|argument|setting|option|key)s?',
  "(?:cannot|can not|can't) be used with (?:this|the) model",
].join('|');

const FORMS: readonly RegExp[] = [
  // "Unsupported parameter: 'x'", "Unrecognized request argument supplied: x", "Unknown name "x": Cannot find field",
  // "Unrecognized key(s) in object: 'x'"
  new RegExp(
    String.raw`^(?:invalid json payload received\. |json: )?(?:unsupported|unknown|unrecognized|unexpected)[a-z ]{0,30}? ?(?:parameter|argument|field|property|value|name|key)(?:s|\(s\))?(?: (?:supplied|provided|in object))?:? ?${NAME}`,
    'i',
  ),
  // Rust: "Failed to deserialize the JSON body into the target type: unknown field `x`, expected one of …"
  new RegExp(String.raw`^failed to deserialize[\w ]{0,60}: unknown field ${QUOTED}`, 'i'),
  // "This model does not support the parameter `x`", "The model does not support the x parameter"
  new RegExp(String.raw`^(?:this|the) [\w ]{1,40}(?:does not|doesn't) support (?:the )?(?:${KIND}s?:? )${NAME}`, 'i'),
  new RegExp(String.raw`^(?:this|the) [\w ]{1,40}(?:does not|doesn't) support (?:the )?${NAME}["'\x60]? ${KIND}\b`, 'i'),
  // "Argument not supported on this model: x"
  new RegExp(String.raw`^${KIND}s? (?:(?:is|are) )?not (?:supported|permitted|recognized|allowed)[\w ]{0,40}: ?${NAME}`, 'i'),
  // "x is not supported", "x: Extra inputs are not permitted", "property 'x' is unsupported", "x is not a valid parameter"
  new RegExp(
    String.raw`^(?:(?:the )?${KIND} )?${NO_FIELD}${NAME}["'\x60]? ?:? ?(?:this )?(?:(?:parameter|property|field|feature) )?(?:${REFUSED})`,
    'i',
  ),
  // JSON Schema, of the request itself and not of a part of it: "Additional properties are not allowed ('x' was unexpected)"
  new RegExp(
    String.raw`^additional properties are not allowed \(${QUOTED}(?:, ["'\x60]\w{1,64}["'\x60]){0,20} (?:was|were) unexpected\)\.?$`,
    'i',
  ),
  // Bedrock's words for JSON Schema's: "Malformed input request: #: extraneous key [x] is not permitted, please reformat …"
  /^(?:malformed input request: )?#: extraneous key \[([A-Za-z_]\w{0,63})\] is not permitted/i,
  // "TypeError: create() got an unexpected keyword argument 'x'"
  new RegExp(String.raw`^(?:\w{1,40}(?:Error|Exception): )?(?:[\w.]{1,100}\(\) )?got an unexpected keyword argument ${NAME}`, 'i'),
  // Pydantic's list, printed by Python (vLLM)
  /^\[\{'type': 'extra_forbidden', 'loc': \('body', '(\w{1,64})'/,
];

/** Null: the message names none. */
export function fieldNamedIn(message: string): string | null {
  for (const form of FORMS) {
    const name = form.exec(message)?.[1];
    if (name !== undefined) return name;
  }
  return null;
}
