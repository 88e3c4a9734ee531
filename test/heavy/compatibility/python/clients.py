"""Python's SDKs, one question a line: {client, base, stream, prompt, tool, result} in, {text, call} or {error} out."""

import json
import sys
import traceback

KEY = "unused"
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"], "additionalProperties": False}


def openai_chat(q):
    from openai import OpenAI

    client = OpenAI(base_url=q["base"] + "/v1", api_key=KEY, max_retries=0)
    tools = {"tools": [{"type": "function", "function": {"name": "tide", "parameters": SCHEMA}}]} if q["tool"] else {}
    messages = [{"role": "user", "content": q["prompt"]}]

    def once():
        if not q["stream"]:
            return client.chat.completions.create(model="fast", messages=messages, **tools).choices[0].message
        with client.chat.completions.stream(model="fast", messages=messages, **tools) as stream:
            return stream.get_final_completion().choices[0].message

    first = once()
    if not first.tool_calls:
        return {"text": first.content, "call": None}
    call = first.tool_calls[0]
    given = {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}
    messages.append({"role": "assistant", "content": first.content, "tool_calls": [given]})
    messages.append({"role": "tool", "tool_call_id": call.id, "content": q["result"]})
    return {"text": once().content, "call": json.loads(call.function.arguments)}


def openai_responses(q):
    from openai import OpenAI

    client = OpenAI(base_url=q["base"] + "/v1", api_key=KEY, max_retries=0)
    tools = {"tools": [{"type": "function", "name": "tide", "parameters": SCHEMA, "strict": True}]} if q["tool"] else {}
    items = [{"role": "user", "content": q["prompt"]}]

    def once():
        if not q["stream"]:
            return client.responses.create(model="fast", input=items, **tools)
        with client.responses.stream(model="fast", input=items, **tools) as stream:
            return stream.get_final_response()

    first = once()
    call = next((item for item in first.output if item.type == "function_call"), None)
    if call is None:
        return {"text": first.output_text, "call": None}
    given = {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments}
    items.extend(item.to_dict() for item in first.output if item.type == "reasoning")
    items.append({**given, **({"id": call.id} if call.id else {})})
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": q["result"]})
    return {"text": once().output_text, "call": json.loads(call.arguments)}


def anthropic(q):
    from anthropic import Anthropic

    client = Anthropic(base_url=q["base"], api_key=KEY, max_retries=0)
    tools = {"tools": [{"name": "tide", "input_schema": SCHEMA}]} if q["tool"] else {}
    messages = [{"role": "user", "content": q["prompt"]}]

    def once():
        if not q["stream"]:
            return client.messages.create(model="fast", max_tokens=2000, messages=messages, **tools)
        with client.messages.stream(model="fast", max_tokens=2000, messages=messages, **tools) as stream:
            return stream.get_final_message()

    def text_of(message):
        return "".join(block.text for block in message.content if block.type == "text")

    first = once()
    call = next((block for block in first.content if block.type == "tool_use"), None)
    if call is None:
        return {"text": text_of(first), "call": None}
    messages.append({"role": "assistant", "content": first.content})
    messages.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": q["result"]}]})
    return {"text": text_of(once()), "call": call.input}


def google_genai(q):
    from google import genai
    from google.genai import types

    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=q["base"], timeout=20_000))
    declared = types.FunctionDeclaration(name="tide", parameters_json_schema=SCHEMA)
    off = types.AutomaticFunctionCallingConfig(disable=True)
    tools = {"tools": [types.Tool(function_declarations=[declared])], "automatic_function_calling": off} if q["tool"] else {}
    contents = [types.Content(role="user", parts=[types.Part(text=q["prompt"])])]
    config = types.GenerateContentConfig(**tools)

    def once():
        if not q["stream"]:
            return client.models.generate_content(model="fast", contents=contents, config=config).candidates[0].content.parts or []
        parts = []
        for chunk in client.models.generate_content_stream(model="fast", contents=contents, config=config):
            for candidate in chunk.candidates or []:
                parts.extend((candidate.content.parts if candidate.content else None) or [])
        return parts

    def text_of(parts):
        return "".join(part.text for part in parts if part.text and not part.thought)

    first = once()
    call = next((part.function_call for part in first if part.function_call), None)
    if call is None:
        return {"text": text_of(first), "call": None}
    result = types.FunctionResponse(id=call.id, name=call.name, response={"output": q["result"]})
    contents.append(types.Content(role="model", parts=first))
    contents.append(types.Content(role="user", parts=[types.Part(function_response=result)]))
    return {"text": text_of(once()), "call": dict(call.args)}


def langchain(make):
    def ask(q):
        from langchain_core.messages import HumanMessage, ToolMessage
        from langchain_core.tools import tool

        @tool
        def tide(at: str) -> str:
            """The tide at a place."""
            return q["result"]

        model = make(q["base"])
        bound = model.bind_tools([tide]) if q["tool"] else model

        def once(messages):
            if not q["stream"]:
                return bound.invoke(messages)
            whole = None
            for chunk in bound.stream(messages):
                whole = chunk if whole is None else whole + chunk
            return whole

        def text_of(message):
            return message.text if isinstance(message.text, str) else message.text()

        messages = [HumanMessage(q["prompt"])]
        first = once(messages)
        if not first.tool_calls:
            return {"text": text_of(first), "call": None}
        call = first.tool_calls[0]
        messages.extend([first, ToolMessage(q["result"], tool_call_id=call["id"], name="tide")])
        return {"text": text_of(once(messages)), "call": call["args"]}

    return ask


def langchain_openai(base):
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model="fast", api_key=KEY, base_url=base + "/v1", max_retries=0)


def langchain_anthropic(base):
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(model="fast", api_key=KEY, base_url=base, max_retries=0, max_tokens=2000)


def langchain_google(base):
    from langchain_google_genai import ChatGoogleGenerativeAI

    return ChatGoogleGenerativeAI(model="fast", api_key=KEY, base_url=base, max_retries=1)


CLIENTS = {
    "python openai chat": openai_chat,
    "python openai responses": openai_responses,
    "python anthropic": anthropic,
    "python google-genai": google_genai,
    "python langchain-openai": langchain(langchain_openai),
    "python langchain-anthropic": langchain(langchain_anthropic),
    "python langchain-google-genai": langchain(langchain_google),
}

for line in sys.stdin:
    question = json.loads(line)
    try:
        answer = CLIENTS[question["client"]](question)
    except Exception:
        answer = {"error": traceback.format_exc()[-600:]}
    print(json.dumps(answer), flush=True)
