/** The JSON Schema of the config, for editors. */
import * as z from 'zod';
import { templatePattern } from './fields.ts';
import { configSchema } from './schema.ts';

/** The schema of what may be written in a file, draft 2020-12. */
export function configJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(configSchema, {
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
