/**
 * Of several answers to one question the last that was asked for counts, in whatever order they come:
 * `const isNewest = begin(); const answer = await ...; if (!isNewest()) return;`
 */
export function latest(): () => () => boolean {
  let round = 0;
  return () => {
    const own = ++round;
    return () => own === round;
  };
}
