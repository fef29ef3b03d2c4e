#include "frames.h"

#include "draw.h"
#include "file.h"
#include "steps.h"
#include "style.h"
#include "text.h"

#include "../../autograd/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace ebb::graphviz {

namespace {

std::string write_image(const std::string& folder, const std::string& name, std::size_t number,
                        const std::string& format, const std::string& picture) {
  const std::string file = (std::filesystem::path(folder) / fmt::format("{}-{:03}.{}", name, number, format)).string();
  Replacement out(file);
  out.write(picture);
  out.commit();
  return file;
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!std::filesystem::is_directory(folder))
    throw IoError(fmt::format("graphviz: cannot make the folder {}: {}", shorten(folder, 200), error.message()));
}

std::string extension_of(FrameFormat format) { return format == FrameFormat::png ? "png" : "svg"; }

}  // namespace

DotOptions on_one_scale(const std::vector<Part>& parts, DotOptions options) {
  if (parts.empty()) throw UsageError("graphviz: there is nothing to draw: no parts");
  if (options.view == View::automatic) options.view = View::strip;
  Trace all;
  for (const Part& part : parts) {
    all.records.insert(all.records.end(), part.trace.records.begin(), part.trace.records.end());
    all.compared = all.compared || part.trace.compared;
  }
  const Heat heat = style_of(all, options).heat;
  options.heat_center = heat.center(), options.heat_span = heat.span();
  return options;
}

DotOptions titled(const Part& part, DotOptions options) {
  if (!part.title.empty()) options.title = part.title;
  if (!part.detail.empty()) options.subtitle = part.detail;
  return options;
}

std::vector<std::string> frames(const Trace& trace, const std::string& folder, const DotOptions& options,
                                FrameFormat format) {
  DotOptions at_rest = options;
  at_rest.play = false;
  Page page(trace, at_rest);
  const std::string extension = extension_of(format);
  make_folder(folder);
  // What dot cannot draw is folded before the first frame, so that all have the same cards.
  Paints paints;
  run_dot(page, extension, paints);
  const std::vector<std::uint32_t> steps = steps_in(give_steps(page.dot()));
  std::vector<std::string> files;
  for (std::size_t i = 0; i < std::max<std::size_t>(steps.size(), 1); ++i) {
    const Alter alter = [&](const std::string& dot, Theme theme) {
      return steps.empty() ? dot : fade(dot, steps[i], theme);
    };
    files.push_back(write_image(folder, "step", i, extension, image(page, extension, alter)));
  }
  return files;
}

std::vector<std::string> frames(const std::vector<Part>& parts, const std::string& folder, const DotOptions& options,
                                FrameFormat format) {
  DotOptions scaled = on_one_scale(parts, options);
  scaled.play = false;
  const std::string extension = extension_of(format);
  make_folder(folder);
  std::vector<std::string> files;
  for (const Part& part : parts) {
    Page page(part.trace, titled(part, scaled));
    files.push_back(write_image(folder, "frame", files.size(), extension, image(page, extension)));
  }
  return files;
}

}  // namespace ebb::graphviz
