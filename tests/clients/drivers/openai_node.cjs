// OpenAI's SDK for Node against Parley. Prints what it made of the answers, as JSON.
// OPENAI_BASE_URL, OPENAI_API_KEY; RESTARTING_URL refuses the first request of all. Argument: a recording.
const fs = require("node:fs");
globalThis.File ??= require("node:buffer").File; // Node 18, as in Debian 12, has it there only
const { OpenAI, toFile } = require("openai");

const recording = process.argv[2];
const model = "whisper-1";
const client = new OpenAI({ maxRetries: 0, timeout: 300_000 });
const transcribe = (options) => client.audio.transcriptions.create({ file: fs.createReadStream(recording), model, ...options });

async function thrown(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param, message: error.message };
  }
}

async function streamed(options) {
  const events = [];
  for await (const event of await transcribe({ stream: true, ...options })) events.push(event);
  return events;
}

async function main() {
  const noise = (name) => toFile(Buffer.from(`no sound at all ${name}`), "noise.mp3");
  const said = {
    "text": (await transcribe({})).text,
    "verbose_json with words and segments": await transcribe({
      response_format: "verbose_json",
      timestamp_granularities: ["word", "segment"],
    }),
    "srt and vtt": [await transcribe({ response_format: "srt" }), await transcribe({ response_format: "vtt" })],
    "speakers": await transcribe({ response_format: "diarized_json", chunking_strategy: "auto" }),
    "streams": await streamed({ include: ["logprobs"] }),
    "streams with speakers": await streamed({ response_format: "diarized_json", chunking_strategy: "auto" }),
    "translations": (await client.audio.translations.create({ file: fs.createReadStream(recording), model })).text,
    "models": (await client.models.list()).data,
    "typed errors": {
      key: await thrown(new OpenAI({ apiKey: "wrong", maxRetries: 0 }).models.list()),
      field: await thrown(transcribe({ language: "klingon" })),
      voices: await thrown(transcribe({ known_speaker_names: ["agent"], known_speaker_references: ["data:audio/wav;base64,AA=="] })),
      file: await thrown(client.audio.transcriptions.create({ file: await noise("here"), model })),
      stream: await thrown(client.audio.transcriptions.create({ file: await noise("there"), model, stream: true })),
      model: await thrown(client.models.retrieve("gpt-5")),
      path: await thrown(client.audio.speech.create({ input: "Hello", model: "tts-1", voice: "alloy" })),
    },
  };
  // the SDK sends a stream only once
  const content = await toFile(fs.readFileSync(recording), "recording.wav");
  const patient = new OpenAI({ baseURL: process.env.RESTARTING_URL, maxRetries: 2 });
  said["retries"] = {
    text: (await patient.audio.transcriptions.create({ file: content, model })).text,
    failure: await thrown(patient.audio.transcriptions.create({ file: await noise("anywhere"), model })),
  };
  console.log(JSON.stringify(said));
}

main();
