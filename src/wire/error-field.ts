/**
 * The field of a request that an error calls unsupported, where only its message names it. Each form is read from the
 * beginning of the message, for what stands further in may be the caller's own text; null: none.
 */
const NAME = String.raw`["'\x60]?([A-Za-z_]\w{0,63})`;
const FORMS: readonly RegExp[] = [
  // "Unsupported parameter: 'x'", "Unrecognized request argument supplied: x", "Unknown name "x": Cannot find field"
  new RegExp(
    String.raw`^(?:invalid json payload received\. |json: )?(?:unsupported|unknown|unrecognized|unexpected)[a-z ]{0,30}? ?(?:parameter|argument|field|property|value|name)s?(?: (?:supplied|provided))?:? ?${NAME}`,
    'i',
  ),
  // "This model does not support the parameter `x`"
  new RegExp(String.raw`^(?:this|the) [\w ]{1,40}does not support (?:the )?(?:parameter |field |argument )${NAME}`, 'i'),
  // "x is not supported", "x: Extra inputs are not permitted", "property 'x' is unsupported"
  new RegExp(
    String.raw`^(?:(?:the )?(?:parameter|property|field|argument) )?${NAME}["'\x60]? ?:? ?(?:this )?(?:(?:parameter|property|field|feature) )?(?:(?:is|are) )?(?:not (?:currently |yet )?supported|unsupported|deprecated for|extra inputs are not permitted)`,
    'i',
  ),
  // "TypeError: create() got an unexpected keyword argument 'x'"
  new RegExp(String.raw`^(?:\w{1,40}(?:Error|Exception): )?(?:[\w.]{1,100}\(\) )?got an unexpected keyword argument ${NAME}`, 'i'),
  // Pydantic's list, printed by Python (vLLM)
  /^\[\{'type': 'extra_forbidden', 'loc': \('body', '(\w{1,64})'/,
];

export function fieldNamedIn(message: string): string | null {
  for (const form of FORMS) {
    const name = form.exec(message)?.[1];
    if (name !== undefined) return name;
  }
  return null;
}
