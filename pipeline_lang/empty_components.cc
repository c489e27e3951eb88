// Topics that have no rows yet. A topic's own file takes its line from here.
#include "pipeline_lang/component.h"

namespace thalweg::lang {

void add_temporal_components(Components&) {}

}  // namespace thalweg::lang
