// The AI SDK with its provider for OpenAI against Parley. Prints what it made of the answers, as JSON.
// OPENAI_BASE_URL, OPENAI_API_KEY; RESTARTING_URL refuses the first request of all. Argument: a recording.
const fs = require("node:fs");
globalThis.File ??= require("node:buffer").File; // Node 18, as in Debian 12, has it there only
const { createOpenAI } = require("@ai-sdk/openai");
const { experimental_transcribe: transcribe } = require("ai");

const audio = fs.readFileSync(process.argv[2]);
const openai = createOpenAI({});

async function said(model, options, provider = openai) {
  const { text, segments, language, durationInSeconds, warnings } = await transcribe({
    model: provider.transcription(model),
    audio,
    maxRetries: 2,
    ...(options && { providerOptions: { openai: options } }),
  });
  return { text, segments, language, durationInSeconds, warnings };
}

async function thrown(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return { name: error.name, status: error.statusCode, message: error.message, retryable: error.isRetryable };
  }
}

async function main() {
  console.log(
    JSON.stringify({
      "text": await said("whisper-1"),
      "segments with their times": await said("whisper-1", { language: "en" }),
      "gpt-4o-transcribe with options": await said("gpt-4o-transcribe", { language: "en" }),
      "typed errors": {
        key: await thrown(said("whisper-1", undefined, createOpenAI({ apiKey: "wrong" }))),
        field: await thrown(said("whisper-1", { language: "klingon" })),
      },
      "retries": await said("whisper-1", undefined, createOpenAI({ baseURL: process.env.RESTARTING_URL })),
    }),
  );
}

main();
