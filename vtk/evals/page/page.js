"use strict";
// Every text is written with textContent: what models and data sets say never becomes markup.
const data = JSON.parse(document.getElementById("data").textContent);
const PER_PAGE = 20;
const PICTURE = "data:image/jpeg;base64,";
const at = (id) => document.getElementById(id);
let page = 0;

function make(name, css, text) {
  const made = document.createElement(name);
  if (css) made.className = css;
  if (text !== undefined) made.textContent = text;
  return made;
}

function option(select, value, text) {
  const made = make("option", "", text);
  made.value = value;
  select.append(made);
}

function outcome(question) {
  const best = Math.max(...question.scores);
  const winners = question.scores.flatMap((score, run) => (score === best ? [run] : []));
  if (new Set(question.scores).size === 1) return "same";
  return winners.length === 1 ? `only-${winners[0]}` : "several";
}

const outcomes = data.questions.map(outcome);
const haystacks = new Map();

function haystack(index) {
  if (!haystacks.has(index)) {
    const { id, clip, problem, answers } = data.questions[index];
    const texts = answers.flat().map((answer) => answer.completion);
    haystacks.set(index, [id, clip, problem, ...texts].join("\n").toLowerCase());
  }
  return haystacks.get(index);
}

function chosen() {
  const [suite, type, right] = ["suite", "type", "right"].map((id) => at(id).value);
  const words = at("words").value.trim().toLowerCase();
  const found = [];
  data.questions.forEach((question, index) => {
    if (suite && question.suite !== suite) return;
    if (type && !question.types.includes(type)) return;
    if (right && outcomes[index] !== right) return;
    if (words && !haystack(index).includes(words)) return;
    found.push(question);
  });
  return found;
}

function counted(value, of) {
  return `${value} (${of})`;
}

function fill(select, any, values) {
  const kept = select.value;
  select.replaceChildren();
  option(select, "", any);
  for (const [value, text] of values) option(select, value, text);
  if ([...select.options].some((one) => one.value === kept)) select.value = kept;
}

function tally(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

function fillTypes() {
  const suite = at("suite").value;
  const asked = data.questions.filter((question) => !suite || question.suite === suite);
  const counts = [...tally(asked.flatMap((question) => question.types))].sort();
  fill(at("type"), "any", counts.map(([name, count]) => [name, counted(name, count)]));
}

function fillOnce() {
  const suites = [...tally(data.questions.map((question) => question.suite))];
  fill(at("suite"), "all", suites.map(([name, count]) => [name, counted(name, count)]));
  const counts = tally(outcomes);
  const names = data.runs.map((run, index) => [`only-${index}`, data.runs.length > 2 ? `best: ${run}` : run]);
  names.push(["several", "several, not all"], ["same", "no one more than another"]);
  const met = names.filter(([value]) => counts.has(value));
  fill(at("right"), "anybody", met.map(([value, name]) => [value, counted(name, counts.get(value))]));
}

function strip(question) {
  const found = data.strips[question.frames];
  if (!found || !found.uri.startsWith(PICTURE)) return [];
  const figure = make("figure");
  const image = make("img", "strip");
  image.alt = `${found.times_s.length} frames of the clip ${question.clip}`;
  image.src = found.uri;
  const times = found.times_s.map((time) => `${time} s`).join(", ");
  figure.append(image, make("figcaption", "", `at ${times} (${found.num_frames} frames were shown)`));
  return [figure];
}

function completion(answer, number, of) {
  const folded = make("details");
  const name = of > 1 ? `Completion ${number + 1}: ${answer.said ?? "unreadable"}` : "Completion";
  const cut = answer.is_cut ? ", cut at the length bound" : "";
  folded.append(make("summary", "", answer.is_error ? "Error" : `${name}${cut}`));
  folded.append(make("pre", "", answer.completion ?? ""));
  return folded;
}

function answerOf(question, run) {
  const [score, answers] = [question.scores[run], question.answers[run]];
  const box = make("div", `answer ${score === 1 ? "right" : score === 0 ? "wrong" : ""}`);
  const first = answers[0];
  const said = first.is_error ? "error" : first.said ?? "unreadable";
  const shares = `${Math.round(score * 100)} % of ${question.num_draws} right`;
  const verdict = question.num_draws > 1 ? shares : score === 1 ? "✓ right" : score === 0 ? "✗ wrong" : `${score} of 1`;
  box.append(make("b", "", data.runs[run]));
  box.append(make("span", "mark", question.num_draws > 1 ? verdict : `${said} ${verdict}`));
  answers.forEach((answer, number) => box.append(completion(answer, number, answers.length)));
  return box;
}

function card(question) {
  const made = make("article");
  const tags = [question.suite, ...question.types, `clip ${question.clip}`, question.id];
  made.append(make("p", "tags", tags.join(" · ")), ...strip(question), make("pre", "", question.problem));
  made.append(make("p", "tags", `Right answer: ${question.solution}`));
  const answers = make("div", "answers");
  data.runs.forEach((_, run) => answers.append(answerOf(question, run)));
  made.append(answers);
  return made;
}

function turn(nav, total, pages) {
  const back = make("button", "", "← Back");
  const on = make("button", "", "On →");
  [back.type, on.type] = ["button", "button"];
  [back.disabled, on.disabled] = [page === 0, page + 1 >= pages];
  back.onclick = () => show(page - 1, nav.id);
  on.onclick = () => show(page + 1, nav.id);
  const first = total ? page * PER_PAGE + 1 : 0;
  const last = Math.min(total, (page + 1) * PER_PAGE);
  const place = make("span", "tags", `${first} to ${last} of ${total}`);
  place.setAttribute("role", "status");
  nav.replaceChildren(back, place, on);
  nav.hidden = false;
}

function show(wanted, from) {
  const found = chosen();
  const pages = Math.max(1, Math.ceil(found.length / PER_PAGE));
  page = Math.min(Math.max(0, wanted), pages - 1);
  at("cards").replaceChildren(...found.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map(card));
  for (const id of ["top", "bottom"]) turn(at(id), found.length, pages);
  if (from === "bottom") at("questions").scrollIntoView();
}

fillOnce();
fillTypes();
at("controls").hidden = false;
at("suite").onchange = () => { fillTypes(); show(0); };
for (const id of ["type", "right"]) at(id).onchange = () => show(0);
at("words").oninput = () => show(0);
show(0);
