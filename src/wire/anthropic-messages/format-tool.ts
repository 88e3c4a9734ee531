/**
 * Models without structured output of their own are made to call this tool, whose arguments have the schema asked for; its call is read
 * back as text.
 */
export const FORMAT_TOOL = 'respond_in_format';
