#include "llm/index/bm25.h"

#include <algorithm>
#include <cmath>

#include <xxhash.h>

#include "llm/index/best.h"
#include "llm/index/saved_numbers.h"

namespace thalweg::llm {

namespace {

constexpr double kK1 = 1.2, kB = 0.75;
constexpr std::size_t kDeadMin = 1024;
constexpr std::uint32_t kExcluded = 0x80000000;

std::string_view field_text(const plan::IndexCell& cell, StrView& hold) {
  hold = cell.column->views()[cell.row];
  return hold.view();
}

std::uint32_t term_hash(std::string_view word) {
  return static_cast<std::uint32_t>(XXH3_64bits(word.data(), word.size()) >> 32);
}

}  // namespace

// Where a word is, or where it would be put.
Bm25::Place& Bm25::place_of(std::string_view word, std::uint32_t hash) {
  std::size_t at = hash & (places_.size() - 1);
  while (places_[at].term != kDead && (places_[at].hash != hash || terms_[places_[at].term].word != word))
    at = (at + 1) & (places_.size() - 1);
  return places_[at];
}

void Bm25::fill_places(std::size_t places) {
  places_.assign(places, {});
  for (TermId id = 0; id < terms_.size(); ++id)
    if (!terms_[id].word.empty())
      place_of(terms_[id].word, term_hash(terms_[id].word)) = {term_hash(terms_[id].word), id};
}

Bm25::TermId Bm25::id_of(std::string_view word, std::uint32_t hash) {
  if (!places_.empty()) {
    const Place& place = place_of(word, hash);
    if (place.term != kDead) return place.term;
  }
  constexpr std::size_t kPlacesMin = 1024;
  if (2 * (terms_.size() + 1) > places_.size()) fill_places(std::max(kPlacesMin, 2 * places_.size()));
  TermId id = 0;
  if (free_terms_.empty()) {
    id = static_cast<TermId>(terms_.size());
    terms_.emplace_back();
  } else {
    id = free_terms_.back();
    free_terms_.pop_back();
  }
  terms_[id].word = word;
  place_of(word, hash) = {hash, id};
  return id;
}

Result<void> Bm25::add(std::uint32_t slot, std::span<const plan::IndexCell> cells) {
  Doc doc;
  doc.slot = slot;
  StrView hold;
  row_text_.clear();
  row_words_.clear();
  // Memory is waited for once, not once for each word: what the next steps need is on its way when they come.
  words_.each(field_text(cells[0], hold), [&](std::string_view word) {
    const std::uint32_t hash = term_hash(word);
    if (!places_.empty()) __builtin_prefetch(&places_[hash & (places_.size() - 1)]);
    row_words_.push_back({hash, static_cast<std::uint32_t>(row_text_.size()), static_cast<std::uint32_t>(word.size())});
    row_text_ += word;
  });
  for (const Seen& seen : row_words_) {
    const TermId likely = places_.empty() ? kDead : places_[seen.hash & (places_.size() - 1)].term;
    if (likely != kDead) __builtin_prefetch(&terms_[likely], 1);
  }
  for (const Seen& seen : row_words_) {
    const TermId id = id_of(std::string_view(row_text_).substr(seen.begin, seen.size), seen.hash);
    if (terms_[id].count++ == 0) doc.terms.push_back(id);
  }
  doc.length = static_cast<std::uint32_t>(row_words_.size());
  put(std::move(doc));
  return {};
}

// The words of the row are counted in its terms.
void Bm25::put(Doc doc) {
  const auto id = static_cast<DocId>(docs_.size());
  for (const TermId which : doc.terms)
    __builtin_prefetch(terms_[which].postings.data() + terms_[which].postings.size(), 1);
  for (const TermId which : doc.terms) {
    Term& term = terms_[which];
    term.postings.push_back({id, std::exchange(term.count, 0)});
    ++term.docs;
  }
  doc.terms.shrink_to_fit();
  postings_ += doc.terms.size();
  length_ += doc.length;
  ++live_;
  if (doc_of_slot_.size() <= doc.slot) doc_of_slot_.resize(doc.slot + 1, kDead);
  doc_of_slot_[doc.slot] = id;
  docs_.push_back(std::move(doc));
}

std::string Bm25::save(std::uint32_t slot) const {
  const DocId id = doc_of_slot_[slot];
  std::string out;
  for (const TermId term : docs_[id].terms) {
    const auto& postings = terms_[term].postings;
    const auto it = std::ranges::lower_bound(postings, id, {}, &Posting::doc);
    append_number(it->count, out);
    append_number(static_cast<std::uint32_t>(terms_[term].word.size()), out);
    out += terms_[term].word;
  }
  return out;
}

Result<void> Bm25::restore(std::uint32_t slot, std::string_view saved) {
  Doc doc;
  doc.slot = slot;
  while (!saved.empty()) {
    const auto count = take_number<std::uint32_t>(saved);
    const auto size = take_number<std::uint32_t>(saved);
    if (!count || *count == 0 || !size || *size == 0 || *size > saved.size()) {
      for (const TermId term : doc.terms) terms_[term].count = 0;
      return fail(Code::kBadData, "a saved row of an index is broken");
    }
    const TermId id = id_of(saved.substr(0, *size), term_hash(saved.substr(0, *size)));
    saved.remove_prefix(*size);
    doc.length += *count;
    if (terms_[id].count == 0) doc.terms.push_back(id);
    terms_[id].count += *count;
  }
  put(std::move(doc));
  return {};
}

void Bm25::remove(std::uint32_t slot) {
  Doc& doc = docs_[std::exchange(doc_of_slot_[slot], kDead)];
  for (const TermId term : doc.terms) --terms_[term].docs;
  length_ -= doc.length;
  --live_;
  doc = {};
  const std::size_t dead = docs_.size() - live_;
  if (dead >= kDeadMin && dead * 4 > docs_.size()) sweep();
}

// New numbers for the rows that live, without gaps, in their old order.
void Bm25::sweep() {
  std::vector<DocId> renumbered(docs_.size(), kDead);
  std::vector<Doc> docs;
  docs.reserve(live_);
  for (DocId old = 0; old < docs_.size(); ++old) {
    if (docs_[old].slot == kDead) continue;
    renumbered[old] = static_cast<DocId>(docs.size());
    doc_of_slot_[docs_[old].slot] = renumbered[old];
    docs.push_back(std::move(docs_[old]));
  }
  docs_ = std::move(docs);
  postings_ = 0;
  for (TermId id = 0; id < terms_.size(); ++id) {
    Term& term = terms_[id];
    if (term.word.empty()) continue;
    std::erase_if(term.postings, [&](Posting& posting) {
      posting.doc = renumbered[posting.doc];
      return posting.doc == kDead;
    });
    postings_ += term.postings.size();
    if (!term.postings.empty()) {
      if (term.postings.capacity() > 2 * term.postings.size()) term.postings.shrink_to_fit();
      continue;
    }
    term = {};
    free_terms_.push_back(id);
  }
  fill_places(places_.size());
}

void Bm25::want(std::string_view text, Need need, std::vector<Wanted>& out, bool& impossible) {
  words_.each(text, [&](std::string_view word) {
    const TermId term = places_.empty() ? kDead : place_of(word, term_hash(word)).term;
    if (term == kDead) {
      impossible = impossible || need == Need::kMust;
      return;
    }
    for (Wanted& known : out)
      if (known.term == term && known.need == need) {
        ++known.times;
        return;
      }
    out.push_back({term, need});
  });
}

std::vector<Bm25::Wanted> Bm25::wanted(std::string_view query, bool& impossible) {
  std::vector<Wanted> out;
  std::size_t at = 0;
  while (at < query.size()) {
    const char c = query[at];
    const bool begins = at == 0 || query[at - 1] == ' ' || query[at - 1] == '(' || query[at - 1] == '\n';
    Need need = Need::kAny;
    if (begins && (c == '+' || c == '-')) {
      need = c == '+' ? Need::kMust : Need::kMustNot;
      ++at;
    }
    if (at < query.size() && query[at] == '"') {
      const std::size_t end = std::min(query.find('"', at + 1), query.size());
      want(query.substr(at + 1, end - at - 1), need == Need::kAny ? Need::kMust : need, out, impossible);
      at = std::min(query.size(), end + 1);
      continue;
    }
    std::size_t end = at;
    while (end < query.size() && query[end] != ' ' && query[end] != '"' && query[end] != '\n') ++end;
    want(query.substr(at, end - at), need, out, impossible);
    at = end;
    while (at < query.size() && (query[at] == ' ' || query[at] == '\n')) ++at;
  }
  return out;
}

Result<std::vector<plan::IndexHit>> Bm25::search(std::span<const plan::IndexCell> query, std::size_t limit,
                                                 const plan::IndexScope& scope) {
  bool impossible = false;
  StrView hold;
  const std::vector<Wanted> words = wanted(field_text(query[0], hold), impossible);
  if (impossible || live_ == 0 || limit == 0) return std::vector<plan::IndexHit>{};
  score_of_doc_.resize(docs_.size());
  musts_of_doc_.resize(docs_.size());
  const double average = static_cast<double>(length_) / static_cast<double>(live_);
  std::uint32_t musts = 0;
  for (const Wanted& want : words) {
    const Term& term = terms_[want.term];
    const double docs = term.docs, all = static_cast<double>(live_);
    const double weight = want.times * std::log(1 + (all - docs + 0.5) / (docs + 0.5)) * (kK1 + 1);
    musts += want.need == Need::kMust;
    for (const Posting& posting : term.postings) {
      const Doc& doc = docs_[posting.doc];
      if (doc.slot == kDead) continue;
      double& score = score_of_doc_[posting.doc];
      std::uint32_t& state = musts_of_doc_[posting.doc];
      if (score == 0 && state == 0) touched_.push_back(posting.doc);
      if (want.need == Need::kMustNot) {
        state |= kExcluded;
        continue;
      }
      state += want.need == Need::kMust;
      const double count = posting.count;
      score += weight * count / (count + kK1 * (1 - kB + kB * doc.length / average));
    }
  }
  Best best(limit, scope);
  for (const DocId doc : touched_) {
    const double score = std::exchange(score_of_doc_[doc], 0);
    if (std::exchange(musts_of_doc_[doc], 0) == musts && score > 0 && best.may_enter(score))
      best.offer(docs_[doc].slot, score);
  }
  touched_.clear();
  return best.take();
}

std::uint64_t Bm25::bytes() const {
  return postings_ * (sizeof(Posting) + sizeof(TermId)) + docs_.size() * (sizeof(Doc) + 12) +
         terms_.size() * (sizeof(Term) + 16);
}

}  // namespace thalweg::llm
