#include "connectors/objects/object_store.h"

#include <fmt/format.h>

namespace thalweg::objects {

Result<std::vector<ObjectInfo>> list_all(ObjectStore& store, const std::string& prefix, std::size_t objects_max) {
  std::vector<ObjectInfo> out;
  std::string page;
  do {
    ListPage found = TRY(store.list(prefix, false, page));
    for (ObjectInfo& one : found.objects) out.push_back(std::move(one));
    if (out.size() > objects_max)
      return fail(Code::kTooLarge,
                  fmt::format("there are more than {} objects below {}/{}", objects_max, store.name(), prefix));
    if (!found.next.empty() && found.next == page)
      return fail(Code::kUnavailable, fmt::format("{} lists the same page again and again", store.name()));
    page = std::move(found.next);
  } while (!page.empty());
  return out;
}

}  // namespace thalweg::objects
