/** Types of the API's calls, read out of schema.d.ts. */

import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Method = "get" | "post" | "put" | "patch" | "delete";

type Call<P extends keyof paths, M extends Method> = M extends keyof paths[P] ? NonNullable<paths[P][M]> : never;

/** Paths that have this method, as the document spells them: "/tasks/{task_id}". */
export type PathOf<M extends Method> = {
  [P in keyof paths]: Call<P, M> extends { responses: unknown } ? P : never;
}[keyof paths];

type Json<R> = R extends { content: { "application/json": infer Body } } ? Body : never;
type Answers<C> = C extends { responses: infer R } ? R : never;

/** What a call answers with, as JSON; undefined where it has no body. */
export type Answer<P extends keyof paths, M extends Method> =
  [Json<Answers<Call<P, M>>[keyof Answers<Call<P, M>>]>] extends [never]
    ? undefined
    : Json<Answers<Call<P, M>>[keyof Answers<Call<P, M>>]>;

type Parameters<C, In extends "path" | "query"> = C extends { parameters: { [K in In]?: infer V } }
  ? Exclude<V, undefined>
  : never;

/** The JSON that a call takes. */
export type Body<P extends keyof paths, M extends Method> =
  Call<P, M> extends { requestBody?: infer R }
    ? NonNullable<R> extends { content: { "application/json": infer J } }
      ? J
      : never
    : never;

export type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;

type PathPart<P extends keyof paths, M extends Method> =
  Parameters<Call<P, M>, "path"> extends never ? { path?: never } : { path: Parameters<Call<P, M>, "path"> };

/** What a call may be given: parameters in the path and the query, JSON, headers. */
export type Request<P extends keyof paths, M extends Method> = PathPart<P, M> & {
  query?: Query;
  json?: Body<P, M>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
};
