/**
 * For models without structured output: they are made to call this tool, whose arguments have the requested schema, and the call is
 * returned to the caller as text.
 */
export const FORMAT_TOOL = 'respond_in_format';
