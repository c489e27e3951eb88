// llm/index/bm25.h
//
// Okapi BM25 (k1 1.2, b 0.75) over an inverted index in memory. A search finds rows that have any of its words; `+word`
// and the words of a "quoted phrase" are required, `-word` is excluded.
//
// Memory  8 bytes per word of a row, 4 more to take it back, some 80 per different word; removed rows are swept out
// when
//         they are a quarter of all.
#pragma once

#include <string>
#include <vector>

#include "engine/plan/index.h"
#include "llm/index/words.h"

namespace thalweg::llm {

class Bm25 final : public plan::Index {
 public:
  explicit Bm25(const std::string& language) : words_(language) {}

  Result<void> add(std::uint32_t slot, std::span<const plan::IndexCell> cells) override;
  void remove(std::uint32_t slot) override;
  [[nodiscard]] Result<std::vector<plan::IndexHit>> search(std::span<const plan::IndexCell> query, std::size_t limit,
                                                           const plan::IndexScope& scope) override;
  [[nodiscard]] std::uint64_t bytes() const override;
  [[nodiscard]] std::string save(std::uint32_t slot) const override;
  Result<void> restore(std::uint32_t slot, std::string_view saved) override;

 private:
  using TermId = std::uint32_t;
  using DocId = std::uint32_t;  // given in order, never again
  static constexpr std::uint32_t kDead = 0xFFFFFFFF;

  struct Posting {
    DocId doc = 0;
    std::uint32_t count = 0;
  };
  // What a word of a row touches is in one cache line.
  struct alignas(64) Term {
    std::string word;               // empty: nobody's
    std::vector<Posting> postings;  // by doc
    std::uint32_t docs = 0;         // that live
    std::uint32_t count = 0;        // in the row that is being put
  };
  // Words by hash, in a flat table with a place after its own for each that found its own taken.
  struct Place {
    std::uint32_t hash = 0;
    TermId term = kDead;
  };
  struct Doc {
    std::uint32_t slot = kDead;
    std::uint32_t length = 0;
    std::vector<TermId> terms;
  };
  enum class Need : std::uint8_t { kAny, kMust, kMustNot };
  struct Wanted {
    TermId term = 0;
    Need need = Need::kAny;
    std::uint32_t times = 1;
  };

  [[nodiscard]] TermId id_of(std::string_view word, std::uint32_t hash);
  [[nodiscard]] Place& place_of(std::string_view word, std::uint32_t hash);
  void fill_places(std::size_t places);
  // Nothing if a required word is nowhere.
  [[nodiscard]] std::vector<Wanted> wanted(std::string_view query, bool& impossible);
  void want(std::string_view text, Need need, std::vector<Wanted>& out, bool& impossible);
  void put(Doc doc);
  void sweep();

  Words words_;
  std::vector<Place> places_;  // a power of two, at most half of them taken
  std::vector<Term> terms_;
  std::vector<TermId> free_terms_;
  std::vector<Doc> docs_;
  std::vector<DocId> doc_of_slot_;
  std::uint64_t live_ = 0, length_ = 0, postings_ = 0;
  // Of one row: its words behind each other, and where each of them is.
  struct Seen {
    std::uint32_t hash = 0, begin = 0, size = 0;
  };
  std::string row_text_;
  std::vector<Seen> row_words_;
  // Of one search.
  std::vector<double> score_of_doc_;
  std::vector<std::uint32_t> musts_of_doc_;
  std::vector<DocId> touched_;
};

}  // namespace thalweg::llm
