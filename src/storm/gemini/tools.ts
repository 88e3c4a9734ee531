/** Function declarations: which functions can be called, and validation of Google's schema dialect. */
import { isRecord } from '../../core/json.ts';
import type { Failure } from '../dialect.ts';
import type { Fields } from '../request.ts';
import { camelFields, listField, unknownName } from './fields.ts';

/** Fields of a Schema. Other JSON Schema keywords require `parametersJsonSchema`. */
const SCHEMA = (
  'additionalProperties anyOf default defs description enum example format items maxItems maxLength maxProperties maximum minItems ' +
  'minLength minProperties minimum nullable pattern properties propertyOrdering ref required title type'
).split(' ');

const NAME = /^[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}$/;
const NAME_RULE =
  '[FIELD_INVALID] Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.';

/** The declarations of a request; `place` is the position of each. */
export function declarationsOf(fields: Fields): { readonly place: string; readonly declaration: Fields }[] {
  return listField(fields, 'tools').flatMap((tool, at) => {
    const declarations = isRecord(tool) ? listField(camelFields(tool), 'functionDeclarations') : [];
    return declarations.map((declaration, index) => ({
      place: `tools[${at}].function_declarations[${index}]`,
      declaration: isRecord(declaration) ? camelFields(declaration) : {},
    }));
  });
}

/** The error of the first invalid declaration. */
export function faultInTools(fields: Fields): Failure | undefined {
  for (const { place, declaration } of declarationsOf(fields)) {
    const { name, parameters } = declaration;
    if (typeof name !== 'string' || !NAME.test(name)) {
      return { reason: 'invalid', message: `* GenerateContentRequest.${place}.name: ${NAME_RULE}\n` };
    }
    const unknown = unknownIn(parameters, `${place}.parameters`, 0);
    if (unknown !== undefined) return unknown;
  }
  return undefined;
}

/** Schemas can be nested arbitrarily; deeper levels are not checked. */
const DEPTH_MAX = 32;

function unknownIn(schema: unknown, place: string, depth: number): Failure | undefined {
  if (!isRecord(schema) || depth > DEPTH_MAX) return undefined;
  const unknown = Object.keys(camelFields(schema)).find((name) => !SCHEMA.includes(name));
  if (unknown !== undefined) return unknownName(unknown, place);
  const inner: [string, unknown][] = [['items', schema['items']]];
  if (isRecord(schema['properties'])) {
    for (const [index, value] of Object.values(schema['properties']).entries()) inner.push([`properties[${index}].value`, value]);
  }
  if (Array.isArray(schema['anyOf'])) for (const [index, value] of schema['anyOf'].entries()) inner.push([`any_of[${index}]`, value]);
  for (const [name, value] of inner) {
    const fault = unknownIn(value, `${place}.${name}`, depth + 1);
    if (fault !== undefined) return fault;
  }
  return undefined;
}
