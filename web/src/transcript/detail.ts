/** What a recording is called. */

import type { Schemas } from "../api/types";

type Named = Pick<Schemas["TaskDetail"], "file" | "task_id">;

export const nameOf = ({ file, task_id }: Named): string => file.name ?? file.url ?? task_id;
