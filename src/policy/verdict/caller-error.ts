/**
 * Errors that are certainly the caller's: they name a standard field of the request as missing or of the wrong type. An error about a value
 * of an enumeration or a range is not among them where the standard defines the value, because targets differ in what they support.
 */
import type { Failure } from '../../core/facts.ts';

/** Fields that every provider of a dialect reads alike. Without `model`, whose values are names of this gateway's routes. */
const STANDARD_FIELDS: ReadonlySet<string> = new Set([
  'messages', 'prompt', 'input', 'contents', 'system', 'max_tokens', 'max_completion_tokens', 'temperature', 'top_p', 'n', 'stop', 'stream',
  'tools', 'tool_choice', 'functions', 'function_call', 'response_format', 'logprobs', 'top_logprobs', 'logit_bias', 'presence_penalty',
  'frequency_penalty', 'user', 'seed', 'metadata', 'encoding_format', 'dimensions', 'role', 'content',
]); // prettier-ignore

/** Standard values that some targets do not support. The first quoted word of an error is the refused value. */
const STANDARD_VALUES: ReadonlySet<string> = new Set([
  'developer', 'system', 'tool', 'function', 'custom', 'image_url', 'input_audio', 'file', 'video_url', 'json_schema', 'json_object', 'auto',
  'required', 'allowed_tools', 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'flex', 'priority', 'default', 'base64', 'float',
]); // prettier-ignore

/** Codes of a missing or wrong field. Values above a maximum are not included: maxima differ between targets. */
const FAULT_CODES =
  /^(missing_required_parameter|invalid_type|invalid_value|invalid_function_parameters|empty_string|empty_array|string_above_max_length|array_above_max_length)$/;

/** Below a minimum of 0 or 1, which is common to all providers; larger minimums are specific to the target. */
const BELOW_MINIMUM_CODE = /_below_min(imum)?_(value|length)$/;
const MINIMUM_OF_ALL = /\bexpected (?:a|an) [\w ]{1,40}(?:>=|minimum length) [01](?![.\d])/i;

/** The history contains a tool call without its result, or a result without its call; every provider refuses that. */
const UNPAIRED_CALL: readonly RegExp[] = [
  /\bno tool (?:output|result)s? found for (?:tool|function) call\b/i,
  /\bmust be followed by tool messages\b/i,
  /\btool_use\W{1,2} ids were found without \W?tool_result\b/i,
  /\bunexpected \W?tool_use_id\W? found in \W?tool_result\b/i,
  /\brole \W{1,2}tool\W{1,2} must be a response to a prece{1,2}ding message\b/i,
];

/** Image data that is invalid, or of a format that no provider supports. */
const BAD_MEDIA = /^(invalid_image_format|image_parse_error|invalid_base64(_image)?)$/;

/** The types of Pydantic's validation errors, which include the location of the field. */
const VALIDATION_TYPES = /^(missing|value_error\.missing|type_error(\.\w+)?|(string|int|float|bool|list|dict|model)_(type|parsing))$/;

const PATH = String.raw`["'\x60]?([A-Za-z_]\w*)[\w.[\]]*["'\x60]?`;
const FAULT_TEXTS: readonly RegExp[] = [
  new RegExp(String.raw`^missing required (?:parameter|field|argument|property)s?:? ${PATH}`, 'i'),
  new RegExp(String.raw`^(?:the )?(?:(?:field|parameter|property|argument) )?${PATH} is (?:a )?(?:required|missing)`, 'i'),
  new RegExp(String.raw`^(?:failed to deserialize[\w ]{0,60}: )?(?:[\w.[\]]{1,80}: )?missing field ${PATH}`, 'i'),
  new RegExp(String.raw`^(?:failed to deserialize[\w ]{0,60}: )?${PATH}: invalid type`, 'i'),
  new RegExp(String.raw`^${PATH}: (?:field required|input should be a valid)`, 'i'),
  new RegExp(String.raw`^invalid (?:type|value) (?:at|for):? ${PATH}`, 'i'),
  new RegExp(
    String.raw`^${PATH} (?:must|should) be (?:a|an|of type) ["'\x60]?(?:non-empty |valid )?(?:string|number|integer|int|float|array|list|object|dict|boolean|bool)`,
    'i',
  ),
  new RegExp(String.raw` is not of type ["'\x60]\w{1,20}["'\x60] - ${PATH}$`, 'i'),
];

export function isCallerError(failure: Failure): boolean {
  const { code, type, param, message } = failure;
  const field = fieldOf(param);
  if (field === 'model' || refusesStandardValue(message)) return false;
  if (code !== null && (FAULT_CODES.test(code) || BAD_MEDIA.test(code))) return true;
  if (code !== null && BELOW_MINIMUM_CODE.test(code) && MINIMUM_OF_ALL.test(message)) return true;
  const isStandard = field !== null && STANDARD_FIELDS.has(field);
  if (isStandard && type !== null && VALIDATION_TYPES.test(type)) return true;
  return FAULT_TEXTS.some((form) => STANDARD_FIELDS.has(form.exec(message)?.[1] ?? ''));
}

export function isUnpairedCall({ message }: Failure): boolean {
  return UNPAIRED_CALL.some((form) => form.test(message));
}

function refusesStandardValue(message: string): boolean {
  if (/\bdeveloper\b|unknown variant/i.test(message)) return true;
  const first = /(?<![\p{L}\p{N}])["'`]([^"'`]*)["'`]/u.exec(message)?.[1];
  return first !== undefined && STANDARD_VALUES.has(first);
}

/** The request member that contains a named field: `reasoning.effort`, `messages[0].name`, `body.top_k`. */
export function fieldOf(param: string | null): string | null {
  return /^(?:body\.)?(\w+)/.exec(param ?? '')?.[1] ?? null;
}
