/** Lists that people write: in Arabic with a comma of its own. The API wants the other. */
export const commas = (text: string): string => text.replaceAll("،", ",");
