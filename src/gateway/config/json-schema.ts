/** The JSON Schema of the config, for editors. */
import * as z from 'zod';
import { templatePattern } from './fields.ts';
import { configSchema } from './schema.ts';

/** The JSON Schema of a config file, draft 2020-12. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = describedSchema();
  dropRanges(schema);
  return schema;
}

/** `range` is not a keyword of JSON Schema. */
function dropRanges(node: unknown): void {
  if (typeof node !== 'object' || node === null) return;
  if ('range' in node && typeof node.range === 'string') Reflect.deleteProperty(node, 'range');
  for (const child of Object.values(node)) dropRanges(child);
}

/** The same, with the `range` of durations, for docs/configuration.md. */
export function describedSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ jsonSchema, zodSchema }) => {
      // A setting may accept a function, which only the library can pass.
      if (jsonSchema.anyOf !== undefined) jsonSchema.anyOf = jsonSchema.anyOf.filter((branch) => Object.keys(branch).length > 0);
      const meta = z.globalRegistry.get(zodSchema);
      const fallback = meta?.['default'];
      if (fallback !== undefined && jsonSchema.$ref === undefined) jsonSchema.default = fallback;
      if (Array.isArray(meta?.['examples'])) jsonSchema.examples = meta['examples'];
      allowTemplate(jsonSchema);
    },
  });
  allowMapOfClients(schema);
  return schema;
}

/** A list of clients may also be a map from name to settings. */
function allowMapOfClients(schema: z.core.JSONSchema.BaseSchema): void {
  const clients = schema.properties?.['clients'];
  const client = schema.$defs?.['Client'];
  if (typeof clients !== 'object' || typeof client !== 'object') return;
  const { name: _name, ...properties } = client.properties ?? {};
  const { id: _id, ...rest } = client;
  schema.$defs!['NamedClient'] = { ...rest, properties, required: [], description: 'The key and rights of a client.' };
  const { description, ...list } = clients;
  schema.properties!['clients'] = {
    description,
    anyOf: [list, { type: 'object', additionalProperties: { $ref: '#/$defs/NamedClient' } }],
  } as typeof clients;
}

/** Lets an enum or a pattern also match `${NAME}`. */
function allowTemplate(schema: z.core.JSONSchema.BaseSchema): void {
  if (typeof schema.pattern === 'string' && !schema.pattern.includes(templatePattern)) {
    schema.pattern = `(?:${schema.pattern})|${templatePattern}`;
  }
  if (schema.enum === undefined) return;
  schema.anyOf = [{ enum: schema.enum }, { type: 'string', pattern: templatePattern }];
  delete schema.enum;
  delete schema.type;
}
