#include "demo/guestbook/page.h"

#include <string.h>

static const char head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<head>\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>Guestbook</title>\n"
    "<style>\n"
    "body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }\n"
    "form { display: flex; gap: .5rem } input { flex: 1 } input, button { font: inherit; padding: .4rem .6rem }\n"
    "li { border-bottom: 1px solid #ddd; padding: .3rem 0; list-style: none } ul { padding: 0 }\n"
    "</style>\n"
    "</head>\n"
    "<body>\n";

static const char rest[] =
    "<form id=\"form\">\n"
    "<input id=\"entry\" name=\"entry\" aria-label=\"Message\" placeholder=\"Message\" autocomplete=\"off\" required>\n"
    "<button>Submit</button>\n"
    "</form>\n"
    "<p id=\"state\" role=\"status\"></p>\n"
    "<ul id=\"messages\"></ul>\n"
    "<script>\n"
    "let messages = [];\n"
    "const state = document.getElementById('state');\n"
    "function draw() {\n"
    "  document.getElementById('messages').replaceChildren(...messages.map(text => {\n"
    "    const li = document.createElement('li'); li.textContent = text; return li;\n"
    "  }));\n"
    "}\n"
    "async function call(query) {\n"
    "  const answer = await fetch('guestbook.php?key=messages&' + query);\n"
    "  if (!answer.ok) throw new Error(answer.status + ' ' + answer.statusText);\n"
    "  return answer.json();\n"
    "}\n"
    "async function work(action) {\n"
    "  try { await action(); state.textContent = ''; draw(); }\n"
    "  catch (e) { state.textContent = 'The guestbook does not answer: ' + e.message; }\n"
    "}\n"
    "document.getElementById('form').addEventListener('submit', event => {\n"
    "  event.preventDefault();\n"
    "  const entry = document.getElementById('entry');\n"
    "  const all = messages.concat(entry.value.replace(/,/g, ' '));\n"
    "  work(async () => {\n"
    "    await call('cmd=set&value=' + encodeURIComponent(all.join(',')));\n"
    "    messages = all; entry.value = '';\n"
    "  });\n"
    "});\n"
    "work(async () => { messages = (await call('cmd=get')).data.split(',').filter(text => text); });\n"
    "</script>\n"
    "</body>\n"
    "</html>\n";

void page_print(struct buf *b, const char *version)
{
    buf_puts(b, head);
    if (strcmp(version, "v2") == 0)
        buf_puts(b, "<h2 style=\"color: GREEN;\">Guestbook V2</h2>\n");
    else if (strcmp(version, "v3") == 0)
        buf_puts(b, "<h2>Guestbook V3</h2>\n");
    else
        buf_puts(b, "<h2>Guestbook</h2>\n");
    buf_puts(b, rest);
}
