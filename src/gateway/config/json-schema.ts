/** The JSON Schema of the config, for editors. */
import * as z from 'zod';
import { templatePattern } from './fields.ts';
import { configSchema } from './schema.ts';

/** The schema of what may be written in a file, draft 2020-12. */
export function configJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ jsonSchema, zodSchema }) => {
      // A function can be one of several things that a setting takes; only the library can give it.
      if (jsonSchema.anyOf !== undefined) jsonSchema.anyOf = jsonSchema.anyOf.filter((branch) => Object.keys(branch).length > 0);
      const fallback = z.globalRegistry.get(zodSchema)?.['default'];
      if (fallback !== undefined && jsonSchema.$ref === undefined) jsonSchema.default = fallback;
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
  schema.$defs!['NamedClient'] = { ...rest, properties, required: [], description: 'With which key and rights the client may call.' };
  const { description, ...list } = clients;
  schema.properties!['clients'] = {
    description,
    anyOf: [list, { type: 'object', additionalProperties: { $ref: '#/$defs/NamedClient' } }],
  } as typeof clients;
}

/** What has to be one of some words, or of some form, may also come from the environment. */
function allowTemplate(schema: z.core.JSONSchema.BaseSchema): void {
  if (typeof schema.pattern === 'string' && !schema.pattern.includes(templatePattern)) {
    schema.pattern = `(?:${schema.pattern})|${templatePattern}`;
  }
  if (schema.enum === undefined) return;
  schema.anyOf = [{ enum: schema.enum }, { type: 'string', pattern: templatePattern }];
  delete schema.enum;
  delete schema.type;
}
